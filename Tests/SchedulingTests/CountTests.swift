import Identifiers
import JobPlan
import Scheduling
import Testing
import UnitOperations

/// The numbers of jobs that the metrics show.
@Suite struct CountTests {
    private func count(_ scheduler: CheckedScheduler, _ stage: UnitStage, _ place: Scheduler.UnitPlace) -> Int? {
        scheduler.scheduler.unitCounts[Scheduler.UnitGroup(job: "job-1", stage: stage, place: place)]
    }

    @Test func `units are counted by job, kind and place, and kinds that a job lacks are absent`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob())
        #expect(count(scheduler, .factor, .ready) == 2)
        #expect(count(scheduler, .factor, .leased) == 0)
        #expect(count(scheduler, .assemble, .waiting) == 1)
        #expect(count(scheduler, .invert, .waiting) == nil)
        _ = scheduler.handle(.workerJoined("w1", .ordinary))
        #expect(count(scheduler, .factor, .leased) == 2)
        #expect(scheduler.scheduler.unitCounts.values.reduce(0, +) == 4)
    }

    @Test func `bytes of factors are counted by side while their job runs and their blobs are there`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob())
        _ = scheduler.handle(.workerJoined("w1", .ordinary))
        #expect(scheduler.scheduler.factorBytes == [:])
        _ = scheduler.finish(.of(0), by: .worker("w1"))
        #expect(scheduler.scheduler.factorBytes == [.input: 1])
        _ = scheduler.finish(.of(1), by: .worker("w1"))
        #expect(scheduler.scheduler.factorBytes == [.input: 1, .gradient: 1])
        _ = scheduler.handle(.workerLeft("w1", reason: "the test ends"))
        #expect(scheduler.scheduler.factorBytes == [:])
    }
}
