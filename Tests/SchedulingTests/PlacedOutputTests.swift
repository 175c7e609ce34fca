import Hashing
import Identifiers
import JobPlan
import Testing
import UnitOperations

@testable import Scheduling

/// Outputs that workers write into staged files themselves.
@Suite struct PlacedOutputTests {
    private func result(of unit: Int, placed: Bool) -> UnitResult {
        var result = UnitResult.named("job-1/\(unit)")
        if placed { result.placed = [0: Checksum(high: 0, low: 0)] }
        return result
    }

    /// Finishes a unit whose output stands in its file.
    private func finish(
        _ unit: Int, attempt: Int = 1, placed: Bool = true, _ scheduler: inout CheckedScheduler
    ) -> SchedulerEffects {
        scheduler.handle(
            .unitFinished(.of(unit, attempt: attempt), by: .worker("w1"), result(of: unit, placed: placed), .short))
    }

    private func output(_ unit: Int) -> UnitOutput { UnitOutput(UnitIndex(unit), 0) }

    @Test func `a file needs no blob that stands in its place`() throws {
        var scheduler = try CheckedScheduler.running()
        #expect(finish(0, &scheduler).orders.allSatisfy { !$0.isCollection })
        let effects = finish(1, &scheduler)
        #expect(effects.orders.allSatisfy { !$0.isCollection })
        #expect(effects.coordinatorWork == [.of(2)])
    }

    @Test func `a blob that later units read is collected although it stands in its place`() throws {
        var scheduler = try CheckedScheduler.running(SmallJob(tasks: 2, outputs: ["factors", "regularizer"]))
        let effects = finish(0, &scheduler)
        #expect(effects.orders.contains(.collect("w1", BlobReference.named("job-1/0").digest)))
    }

    @Test func `a blob in its place is not collected for its readers when the stores end with the job`() throws {
        var settings = SchedulerSettings()
        settings.collectsForWorkers = false
        let job = SmallJob(tasks: 2, outputs: ["factors", "regularizer"])
        var scheduler = try CheckedScheduler.running(job, settings: settings)
        #expect(finish(0, &scheduler).orders.allSatisfy { !$0.isCollection })
        // What does not stand in its place is collected as ever.
        let effects = finish(1, placed: false, &scheduler)
        #expect(effects.orders.contains { $0.isCollection })
    }

    /// Their worker keeps no blob that another unit could have.
    @Test func `equal units are computed for their own places when the stores end with the job`() throws {
        var settings = SchedulerSettings()
        settings.collectsForWorkers = false
        var scheduler = try CheckedScheduler.running(SmallJob(captures: "shared"), settings: settings)
        _ = finish(0, &scheduler)
        _ = finish(1, &scheduler)
        let effects = try scheduler.submit(SmallJob(id: "job-2", captures: "shared"))
        #expect(effects.orders.allSatisfy { !$0.isCollection })
        #expect(effects.orders.contains(.lease("w1", .of(0, job: "job-2"))))
    }

    @Test func `what a worker could not write in place is collected`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = finish(0, &scheduler)
        let effects = finish(1, placed: false, &scheduler)
        #expect(effects.orders.contains(.collect("w1", BlobReference.named("job-1/1").digest)))
        #expect(effects.coordinatorWork == [])
        #expect(scheduler.store(.of(1)).coordinatorWork == [.of(2)])
    }

    @Test func `outputs that are damaged in place are collected, and are not computed again`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = finish(0, &scheduler)
        _ = finish(1, &scheduler)
        let lost = scheduler.handle(.placesLost(LeasedUnit.of(2).unit, [output(1)], reason: "zeros"))
        #expect(lost.notices.contains(.placesLost(LeasedUnit.of(2).unit, count: 1, reason: "zeros")))
        let effects = scheduler.fail(.of(2), by: .coordinator, kind: .inputMissing)
        #expect(effects.orders == [.collect("w1", BlobReference.named("job-1/1").digest)])
        #expect(scheduler.store(.of(1)).coordinatorWork == [.of(2, attempt: 2)])
    }

    @Test func `outputs that are damaged in place and that nobody has are computed again`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = finish(0, &scheduler)
        _ = finish(1, &scheduler)
        // Nobody misses the blob: the file has it.
        let blob = BlobReference.named("job-1/1").digest
        #expect(scheduler.handle(.blobsDropped("w1", [blob])).orders == [])
        _ = scheduler.handle(.placesLost(LeasedUnit.of(2).unit, [output(1)], reason: "zeros"))
        let effects = scheduler.fail(.of(2), by: .coordinator, kind: .inputMissing)
        #expect(effects.orders == [.lease("w1", .of(1, attempt: 2))])
        #expect(finish(1, attempt: 2, &scheduler).coordinatorWork == [.of(2, attempt: 2)])
    }

    @Test func `a damaged file loses what stood in it`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = finish(0, &scheduler)
        _ = finish(1, &scheduler)
        _ = scheduler.finish(.of(2), by: .coordinator)
        let effects = scheduler.handle(.filesLost(LeasedUnit.of(2).unit, reason: "a bit flipped"))
        #expect(Set(effects.orders) == Set((0..<2).map { .collect("w1", BlobReference.named("job-1/\($0)").digest) }))
        _ = scheduler.store(.of(0))
        #expect(scheduler.store(.of(1)).coordinatorWork == [.of(2, attempt: 2)])
    }

    @Test func `a restart remembers what stands in its place`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = finish(0, &scheduler)
        _ = finish(1, &scheduler)
        let effects = scheduler.restart()
        #expect(effects.coordinatorWork == [.of(2, attempt: 1)])
        #expect(scheduler.scheduler.result(of: LeasedUnit.of(0).unit)?.hasPlaced(0) == true)
    }

    @Test func `files of another job get nothing from this job's places`() throws {
        var scheduler = try CheckedScheduler.running(SmallJob(captures: "shared"))
        _ = finish(0, &scheduler)
        _ = finish(1, &scheduler)
        _ = scheduler.finish(.of(2), by: .coordinator)
        _ = scheduler.finish(.of(3), by: .coordinator)
        let effects = try scheduler.submit(SmallJob(id: "job-2", captures: "shared"))
        #expect(effects.orders.count(where: \.isCollection) == 2)
        let result = scheduler.scheduler.result(of: LeasedUnit.of(0, job: "job-2").unit)
        #expect(result?.blobs == UnitResult.named("job-1/0").blobs)
        #expect(result?.placed == nil)
    }

    @Test func `a leaving worker is not kept for what stands in its place`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = finish(0, &scheduler)
        _ = finish(1, &scheduler)
        #expect(scheduler.handle(.workerDraining("w1")).orders == [.dismiss("w1")])
    }
}

extension AddressedOrder {
    fileprivate var isCollection: Bool {
        if case .collect = order { true } else { false }
    }

    fileprivate static func dismiss(_ worker: WorkerID) -> AddressedOrder { .init(.dismiss, to: worker) }
}
