import Identifiers
import JobPlan
import Testing

@testable import Scheduling

/// The order of effects, which does not depend on the order of the scheduler's decisions.
@Suite struct EffectOrderTests {
    private let unit = LeasedUnit.of(0)
    private let blob = BlobReference.named("job-1/0").digest

    @Test func `notices speak first, and blobs go last`() {
        var effects = SchedulerEffects()
        effects.clearsStore = true
        effects.unneeded = [blob]
        effects.endedJobs = ["job-1"]
        effects.unavailable = [blob]
        effects.coordinatorWork = [unit]
        effects.order(.revoke(unit), to: "w1")
        effects.order(.drain, to: "w2")
        effects.forgotten = ["w3"]
        effects.notices = [.workerJoined("w2")]
        #expect(
            effects.inOrder == [
                .tell(.workerJoined("w2")), .forget("w3"), .send(.revoke("w1", unit)),
                .send(AddressedOrder(.drain, to: "w2")), .compute(unit), .tellUnavailable(blob), .letGo("job-1"),
                .remove([blob]), .clearStore,
            ])
    }

    @Test func `clients hear of a batch when all of it is done`() throws {
        let job = SmallJob()
        var (scheduler, batch) = (CheckedScheduler(), EffectBatch())
        batch.append(scheduler.handle(.workerJoined("w1", .ordinary)))
        batch.append(try scheduler.submit(job))
        batch.append(scheduler.handle(.jobCancelled("job-1")))
        #expect(batch.endsJobs)
        #expect(batch.records == [.jobAccepted(job.header), .jobEnded("job-1", .cancelled, finishedUnits: 0)])
        let order = batch.inOrder
        #expect(order.suffix(3) == [.clearStore, .settle(hasEnded: true), .accept("job-1")])
        let lease = try #require(order.firstIndex(of: .send(.lease("w1", unit))))
        let revocation = try #require(order.firstIndex(of: .send(.revoke("w1", unit))))
        let end = try #require(order.firstIndex(of: .letGo("job-1")))
        #expect(lease < revocation && revocation < end)
    }

    @Test func `nothing that happened asks for nothing`() {
        #expect(EffectBatch().inOrder == [])
        #expect(EffectBatch().deadline == nil)
    }

    @Test func `a worker that is gone is forgotten, whatever the log says of it`() throws {
        var scheduler = try CheckedScheduler.running()
        #expect(scheduler.handle(.workerLeft("w1", reason: "bye")).inOrder.contains(.forget("w1")))
    }
}
