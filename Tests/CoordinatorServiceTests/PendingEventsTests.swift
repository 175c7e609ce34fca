import Identifiers
import Scheduling
import Testing

@testable import CoordinatorService

/// The events that wait while the journal's disk is full.
struct PendingEventsTests {
    private var pending = PendingEvents()

    private func step(_ steps: UInt64) -> [UnitProgress] {
        [UnitProgress(unit: LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(0)), Attempt(1)), steps: steps)]
    }

    @Test mutating func `a night of signs of life leaves each worker's latest`() {
        for steps in 0..<100_000 {
            for worker in ["w1", "w2"] as [WorkerID] {
                _ = pending.append(.workerHeard(worker))
                _ = pending.append(.workerProgressed(worker, step(UInt64(steps))))
            }
        }
        let events = pending.take()
        #expect(pending.isEmpty)
        guard events.count == 4, case .workerProgressed("w1", let first) = events[0],
            case .workerHeard("w1") = events[1], case .workerProgressed("w2", _) = events[2],
            case .workerHeard("w2") = events[3]
        else {
            Issue.record("\(events)")
            return
        }
        #expect(first == step(99_999))
    }

    @Test mutating func `signs of life come before the instant at which their worker would be given up`() {
        _ = pending.append(.deadlineReached)
        _ = pending.append(.workerHeard("w1"))
        let events = pending.take()
        guard events.count == 2, case .workerHeard("w1") = events[0], case .deadlineReached = events[1] else {
            Issue.record("\(events)")
            return
        }
    }

    @Test mutating func `events are handled a thousand at once, and beyond the bound they are refused`() {
        let taken = (0...PendingEvents.eventsMax).count { _ in pending.append(.deadlineReached) }
        #expect(taken == PendingEvents.eventsMax)
        _ = pending.append(.workerHeard("w1"))
        let batches = [pending.take().count, pending.take().count]
        #expect(batches == [1 + PendingEvents.batchMax, PendingEvents.batchMax])
        #expect(!pending.isEmpty)
    }

    @Test mutating func `a greeting that waits is known`() {
        _ = pending.append(.workerJoined("w1", WorkerCapacity(lanes: 1, memoryBytes: 1)))
        #expect(pending.isJoining("w1"))
        #expect(!pending.isJoining("w2"))
    }
}
