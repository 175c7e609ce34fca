import Identifiers
import JobPlan
import Scheduling
import Testing
import UnitOperations

/// Units that take about as little time as their messages.
@Suite struct BriefUnitTests {
    /// The units of this job read 4 KB and compute nearly nothing.
    private let brief = SmallJob(layers: 40, rows: 256)
    /// 2 · 10⁹ multiply-adds each: 20 ms.
    private let long = SmallJob(layers: 40, dimension: 1024, rows: 2000)

    /// A worker whose memory bounds nothing.
    private let capacity = WorkerCapacity(lanes: 1, memoryBytes: 1 << 40)

    private func running(_ job: SmallJob) throws -> (CheckedScheduler, leased: [LeasedUnit]) {
        var scheduler = CheckedScheduler(settings: SchedulerSettings())
        _ = try scheduler.submit(job)
        let orders = scheduler.handle(.workerJoined("w1", capacity)).orders
        return (scheduler, orders.compactMap { if case .lease(let leased) = $0.order { leased } else { nil } })
    }

    private func isBrief(_ leased: LeasedUnit, on worker: WorkerID, _ scheduler: CheckedScheduler) -> Bool {
        scheduler.scheduler.isBrief(leased, on: worker)
    }

    @Test func `a worker holds many brief units, and few of others`() throws {
        let (scheduler, briefUnits) = try running(brief)
        #expect(briefUnits.count == 1 + 32)
        #expect(briefUnits.allSatisfy { isBrief($0, on: "w1", scheduler) })
        let (other, longUnits) = try running(long)
        #expect(longUnits.count == 1 + 2)
        #expect(longUnits.allSatisfy { !isBrief($0, on: "w1", other) })
    }

    @Test func `no further brief unit waits behind one that takes long`() throws {
        var (scheduler, _) = try running(long)
        var second = brief
        second.id = "job-2"
        _ = try scheduler.submit(second)
        #expect(scheduler.scheduler.workerStatuses.map(\.leasedUnits) == [3])
    }

    @Test func `a unit that a lost worker may have begun is reported at once from then on`() throws {
        var (scheduler, first) = try running(brief)
        scheduler.advance(by: .seconds(10))
        #expect(
            !scheduler.handle(.deadlineReached).records.contains { if case .unitFailed = $0 { true } else { false } })
        let orders = scheduler.handle(.workerJoined("w2", capacity)).orders
        let second = orders.compactMap { if case .lease(let leased) = $0.order { leased } else { nil } }
        #expect(second.map(\.unit) == Array(first.map(\.unit).prefix(3)))
        #expect(second.allSatisfy { !isBrief($0, on: "w2", scheduler) })
        // A superseded attempt is nobody's.
        #expect(!isBrief(first[0], on: "w1", scheduler))
        #expect(!isBrief(first[0], on: "w2", scheduler))
    }

    @Test func `a worker that says farewell leaves no suspicion`() throws {
        var (scheduler, _) = try running(brief)
        _ = scheduler.handle(.workerLeft("w1", reason: "told to stop"))
        #expect(scheduler.handle(.workerJoined("w2", capacity)).orders.count == 1 + 32)
    }
}
