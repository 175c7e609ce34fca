import Identifiers
import JobPlan
import Testing
import UnitOperations

@testable import Scheduling

/// Clusters whose workers have different numeric regimes.
@Suite struct RegimeTests {
    private static func capacity(_ kernels: String) -> WorkerCapacity {
        WorkerCapacity(
            lanes: 1, memoryBytes: 1 << 30, regime: NumericRegime(kernels: kernels, elements: "fp32"))
    }

    private static let haswell = capacity("Haswell")
    private static let skylake = capacity("SkylakeX")
    private let first = SmallJob(id: "job-1", captures: "same")
    private let second = SmallJob(id: "job-2", captures: "same")

    /// A scheduler that knows the factors of the first job, computed by `w1`.
    private func schedulerWithFactors() throws -> CheckedScheduler {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(first)
        _ = scheduler.handle(.workerJoined("w1", Self.haswell))
        for unit in 0..<2 { _ = scheduler.finish(.of(unit), by: .worker("w1")) }
        return scheduler
    }

    /// The units of a job whose results were known from earlier work.
    private func taken(_ effects: SchedulerEffects, of job: JobID) -> [(unit: Int, kernels: String?)] {
        effects.records.compactMap { record in
            guard case .unitFinished(let unit, .earlierWork, _, _, let key) = record, unit.job == job else {
                return nil
            }
            return (unit.unit.position, key?.regime.kernels)
        }
    }

    @Test func `results are known to later jobs while somebody computes in their regime`() throws {
        var scheduler = try schedulerWithFactors()
        _ = scheduler.handle(.workerJoined("w2", Self.skylake))
        #expect(scheduler.scheduler.knownUnits(of: try second.plan()) == [UnitIndex(0), UnitIndex(1)])
        let found = taken(try scheduler.submit(second), of: "job-2")
        #expect(found.map(\.unit).sorted() == [0, 1])
        #expect(found.map(\.kernels) == ["Haswell", "Haswell"])
        let unit = UnitReference(job: "job-2", unit: UnitIndex(1))
        #expect(scheduler.scheduler.regime(of: unit) == Self.haswell.regime)
    }

    @Test func `results of a regime that nobody computes in are passed over until somebody does`() throws {
        var scheduler = try schedulerWithFactors()
        for unit in 0..<2 { _ = scheduler.store(.of(unit)) }
        _ = scheduler.handle(.workerLeft("w1", reason: "it was told to"))
        // Without workers, the regime of the job is not known yet.
        #expect(scheduler.scheduler.knownUnits(of: try second.plan()).count == 2)
        #expect(taken(try scheduler.submit(second), of: "job-2").isEmpty)
        var effects = scheduler.handle(.workerJoined("w2", Self.skylake))
        #expect(taken(effects, of: "job-2").isEmpty)
        #expect(effects.orders.contains { $0.worker == "w2" && $0.lease != nil })
        #expect(scheduler.scheduler.knownUnits(of: try second.plan()).isEmpty)
        _ = scheduler.finish(.of(0, job: "job-2"), by: .worker("w2"), result: .named("other"))
        #expect(scheduler.scheduler.result(of: LeasedUnit.of(0, job: "job-2").unit) == .named("other"))
        effects = scheduler.handle(.workerJoined("w3", Self.haswell))
        #expect(taken(effects, of: "job-2").allSatisfy { $0.kernels == "Haswell" })
    }

    @Test func `two results of a unit may differ where regimes do, and the first counts`() throws {
        var scheduler = try schedulerWithFactors()
        _ = scheduler.handle(.workerJoined("w2", Self.skylake))
        _ = scheduler.handle(.workerJoined("w3", Self.haswell))
        #expect(scheduler.finish(.of(0), by: .worker("w2"), result: .named("other")).notices == [])
        #expect(
            scheduler.finish(.of(0), by: .worker("w3"), result: .named("other")).notices
                == [.resultsDiffer(.of(0), by: .worker("w3"))])
        #expect(scheduler.scheduler.result(of: LeasedUnit.of(0).unit) == .named("job-1/0"))
        #expect(scheduler.scheduler.regime(of: LeasedUnit.of(0).unit) == Self.haswell.regime)
    }

    @Test func `a result of an unknown regime makes nobody err`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(first)
        _ = scheduler.handle(.workerJoined("w1", Self.haswell))
        #expect(
            scheduler.finish(.of(0), by: .worker("stranger")).notices
                == [.lateResultUsed(.of(0), by: .worker("stranger"))])
        #expect(scheduler.scheduler.regime(of: LeasedUnit.of(0).unit) == nil)
        _ = scheduler.handle(.workerJoined("w2", Self.skylake))
        #expect(scheduler.finish(.of(0), by: .worker("w2"), result: .named("other")).notices == [])
        #expect(scheduler.scheduler.result(of: LeasedUnit.of(0).unit) == .named("job-1/0"))
    }

    /// The worker has read the first result of a factor, and the unit's key would now name the second.
    @Test func `a late result has no key when its inputs were made again with other bits`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob(tasks: 2, outputs: ["regularizer"]))
        _ = scheduler.handle(.workerJoined("w1", Self.haswell))
        for unit in 0..<4 { _ = scheduler.finish(.of(unit), by: .worker("w1")) }
        _ = scheduler.start(.of(4), by: "w1")
        _ = scheduler.handle(.workerJoined("w2", Self.skylake))
        _ = scheduler.handle(.workerDraining("w1"))
        let left = scheduler.handle(.workerLeft("w1", reason: "it is gone with its blobs"))
        var leases = left.orders.compactMap(\.lease)
        while let lease = leases.first, lease.unit.unit < UnitIndex(4) {
            leases.removeFirst()
            let made = scheduler.finish(lease, by: .worker("w2"), result: .named("other \(lease.unit)"))
            leases += made.orders.compactMap(\.lease)
        }
        #expect(leases.contains { $0.unit.unit == UnitIndex(4) })
        _ = scheduler.handle(.workerJoined("w1", Self.haswell))
        let sums = UnitResult(blobs: [.named("first"), .named("second")])
        let late = scheduler.finish(.of(4), by: .worker("w1"), result: sums)
        #expect(late.notices.contains(.lateResultUsed(.of(4), by: .worker("w1"))))
        let keys = late.records.compactMap { record -> ResultKey?? in
            if case .unitFinished(LeasedUnit.of(4).unit, _, _, _, let key) = record { .some(key) } else { nil }
        }
        #expect(keys == [nil])
    }

    @Test func `the regime of a worker that is gone is known when its result comes late`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(first)
        _ = scheduler.handle(.workerJoined("w1", Self.haswell))
        _ = scheduler.handle(.workerLeft("w1", reason: "its connection broke"))
        _ = scheduler.finish(.of(0), by: .worker("w1"))
        #expect(scheduler.scheduler.regime(of: LeasedUnit.of(0).unit) == Self.haswell.regime)
        _ = scheduler.handle(.workerJoined("w2", Self.haswell))
        #expect(
            scheduler.finish(.of(0), by: .worker("w2"), result: .named("other")).notices
                == [.resultsDiffer(.of(0), by: .worker("w2"))])
    }

    @Test func `a lost blob that another regime makes again is the one that files are made of`() throws {
        var scheduler = try schedulerWithFactors()
        _ = scheduler.store(.of(1))
        _ = scheduler.handle(.workerJoined("w2", Self.skylake))
        let lost = scheduler.handle(.collectionFailed(BlobReference.named("job-1/0").digest, from: "w1"))
        #expect(lost.endedJobs == [])
        let made = scheduler.finish(.of(0, attempt: 2), by: .worker("w2"), result: .named("other"))
        #expect(made.notices.allSatisfy { if case .resultsDiffer = $0 { false } else { true } })
        #expect(scheduler.scheduler.result(of: LeasedUnit.of(0).unit) == .named("other"))
        #expect(scheduler.scheduler.regime(of: LeasedUnit.of(0).unit) == Self.skylake.regime)
        #expect(scheduler.handle(.blobStored(.named("other"))).coordinatorWork.map(\.unit.unit) == [UnitIndex(2)])
    }
}
