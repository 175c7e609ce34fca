import Identifiers
import JobPlan
import Testing

@testable import Scheduling

/// Inputs and files that are lost repeatedly.
@Suite struct LossTests {
    /// A job whose factors are made and stored, and whose file is being written.
    private func schedulerWithFileUnderWay() throws -> CheckedScheduler {
        var scheduler = try CheckedScheduler.running()
        for unit in 0..<2 { _ = scheduler.finish(.of(unit), by: .worker("w1")) }
        _ = scheduler.store(.of(0))
        #expect(scheduler.store(.of(1)).coordinatorWork == [.of(2)])
        return scheduler
    }

    private func failure(of job: JobID, _ scheduler: CheckedScheduler) -> UnitFailure? {
        guard case .failed(let failure)? = scheduler.scheduler.status(of: job)?.outcome else { return nil }
        return failure
    }

    @Test func `a unit that loses its inputs waits longer each time, and ends its job at last`() throws {
        var scheduler = try schedulerWithFileUnderWay()
        var waits: [Int] = []
        for attempt in 1..<10 {
            var effects = scheduler.fail(.of(2, attempt: attempt), by: .coordinator, kind: .inputMissing)
            var seconds = 0
            while effects.coordinatorWork.isEmpty, seconds < 100 {
                scheduler.advance(by: .seconds(1))
                seconds += 1
                effects = scheduler.handle(.deadlineReached)
            }
            #expect(effects.coordinatorWork == [.of(2, attempt: attempt + 1)])
            waits.append(seconds)
        }
        #expect(waits == [0, 2, 4, 8, 16, 32, 64, 64, 64])
        #expect(failure(of: "job-1", scheduler) == nil)
        let effects = scheduler.fail(.of(2, attempt: 10), by: .coordinator, kind: .inputMissing)
        #expect(effects.endedJobs == ["job-1"])
        let message = failure(of: "job-1", scheduler)?.message ?? ""
        #expect(message.contains("gave up after its inputs were lost 10 times, the last on coordinator:"), "\(message)")
    }

    @Test func `lost inputs are none of the three failures`() throws {
        var scheduler = try schedulerWithFileUnderWay()
        for attempt in 1..<6 {
            var effects = scheduler.fail(.of(2, attempt: attempt), by: .coordinator, kind: .inputMissing)
            while effects.coordinatorWork.isEmpty {
                scheduler.advance(by: .seconds(1))
                effects = scheduler.handle(.deadlineReached)
            }
        }
        _ = scheduler.fail(.of(2, attempt: 6), by: .coordinator)
        _ = scheduler.fail(.of(2, attempt: 7), by: .coordinator)
        #expect(failure(of: "job-1", scheduler) == nil)
        _ = scheduler.fail(.of(2, attempt: 8), by: .coordinator)
        #expect(failure(of: "job-1", scheduler)?.message.contains("gave up after 3 failures") == true)
    }

    @Test func `files that are lost before they are published are written again`() throws {
        var scheduler = try schedulerWithFileUnderWay()
        #expect(scheduler.finish(.of(2), by: .coordinator).coordinatorWork == [.of(3)])
        let effects = scheduler.handle(.filesLost(LeasedUnit.of(2).unit, reason: "a bit flipped"))
        #expect(effects.coordinatorWork == [.of(2, attempt: 2)])
        #expect(effects.notices.contains(.filesLost(LeasedUnit.of(2).unit, reason: "a bit flipped")))
        #expect(scheduler.fail(.of(3), by: .coordinator, kind: .inputMissing).coordinatorWork == [])
        #expect(scheduler.finish(.of(2, attempt: 2), by: .coordinator).coordinatorWork == [.of(3, attempt: 2)])
        #expect(scheduler.finish(.of(3, attempt: 2), by: .coordinator).endedJobs == ["job-1"])
        #expect(scheduler.scheduler.status(of: "job-1")?.outcome == .succeeded)
    }

    @Test func `files whose blobs are lost too are written again from blobs that are made again`() throws {
        var scheduler = try schedulerWithFileUnderWay()
        _ = scheduler.finish(.of(2), by: .coordinator)
        for unit in 0..<2 { _ = scheduler.handle(.blobUnreadable(BlobReference.named("job-1/\(unit)").digest)) }
        let effects = scheduler.handle(.filesLost(LeasedUnit.of(2).unit, reason: "a bit flipped"))
        #expect(effects.coordinatorWork == [])
        // The worker that made them still has them.
        #expect(effects.orders.count == 2)
        _ = scheduler.store(.of(0))
        #expect(scheduler.store(.of(1)).coordinatorWork == [.of(2, attempt: 2)])
    }

    @Test func `files that are lost again and again end their job`() throws {
        var scheduler = try schedulerWithFileUnderWay()
        _ = scheduler.finish(.of(2), by: .coordinator)
        for attempt in 2..<7 {
            _ = scheduler.handle(.filesLost(LeasedUnit.of(2).unit, reason: "a bit flipped"))
            _ = scheduler.finish(.of(2, attempt: attempt), by: .coordinator)
        }
        #expect(failure(of: "job-1", scheduler) == nil)
        _ = scheduler.handle(.filesLost(LeasedUnit.of(2).unit, reason: "a bit flipped"))
        let message = failure(of: "job-1", scheduler)?.message ?? ""
        #expect(message.contains("gave up after its files were damaged 6 times: a bit flipped"), "\(message)")
    }

    @Test func `a blob that never arrives as it was made ends its job at last`() throws {
        var scheduler = try CheckedScheduler.running()
        for unit in 0..<2 { _ = scheduler.finish(.of(unit), by: .worker("w1")) }
        _ = scheduler.store(.of(1))
        let blob = BlobReference.named("job-1/0")
        for attempt in 2..<11 {
            let failed = scheduler.handle(.collectionFailed(blob.digest, from: "w1"))
            #expect(failed.orders == [.lease("w1", .of(0, attempt: attempt))])
            let made = scheduler.finish(.of(0, attempt: attempt), by: .worker("w1"))
            #expect(made.orders == [.collect("w1", blob.digest)])
        }
        #expect(failure(of: "job-1", scheduler) == nil)
        #expect(scheduler.handle(.collectionFailed(blob.digest, from: "w1")).endedJobs == ["job-1"])
        let message = failure(of: "job-1", scheduler)?.message ?? ""
        #expect(message.contains("was lost or damaged 10 times before it reached the coordinator"), "\(message)")
    }

    @Test func `files of nobody are no files`() throws {
        var scheduler = try schedulerWithFileUnderWay()
        for unit in [LeasedUnit.of(0), .of(2), .of(99), .of(2, job: "job-7")] {
            #expect(scheduler.handle(.filesLost(unit.unit, reason: "")).coordinatorWork == [])
        }
    }
}
