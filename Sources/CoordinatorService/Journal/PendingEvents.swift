import Identifiers
import Scheduling

/// Events that wait while the journal commits earlier ones.
///
/// A commit may take hours when the disk is full. Heartbeats go on meanwhile, and the latest of each worker is kept.
/// Other events soon stop, because the orders that they wait for are not sent before the commit.
/// Bound: ``eventsMax``.
struct PendingEvents {
    /// The most events, not counting heartbeats.
    static let eventsMax = 100_000
    /// The most events that are handled at once, so that other tasks get their turn.
    static let batchMax = 1000

    private var events: [SchedulerEvent] = []
    private var heard: Set<WorkerID> = []
    private var progress: [WorkerID: [UnitProgress]] = [:]
    /// The workers in the order of their first heartbeats.
    private var signs: [WorkerID] = []

    var isEmpty: Bool { events.isEmpty && signs.isEmpty }

    /// Adds an event.
    ///
    /// - Returns: Whether there was room.
    mutating func append(_ event: SchedulerEvent) -> Bool {
        switch event {
        case .workerHeard(let worker): if heard.insert(worker).inserted { noteSign(of: worker) }
        case .workerProgressed(let worker, let units):
            if progress.updateValue(units, forKey: worker) == nil { noteSign(of: worker) }
        default:
            guard events.count < Self.eventsMax || isNeverRepeated(event) else { return false }
            events.append(event)
        }
        return true
    }

    /// Whether the event would never be sent again; the sources of these few events bound their number.
    private func isNeverRepeated(_ event: SchedulerEvent) -> Bool {
        switch event {
        case .jobSubmitted, .workerJoined, .workerLeft, .restarted: true
        case .unitFinished(_, .coordinator, _, _), .unitFailed(_, .coordinator, _): true
        default: false
        }
    }

    private mutating func noteSign(of worker: WorkerID) {
        if heard.contains(worker) != (progress[worker] != nil) { signs.append(worker) }
    }

    /// Removes the first events; heartbeats come first, so that no worker counts as lost that was heard.
    mutating func take() -> [SchedulerEvent] {
        var taken: [SchedulerEvent] = []
        for worker in signs {
            if let units = progress[worker] { taken.append(.workerProgressed(worker, units)) }
            if heard.contains(worker) { taken.append(.workerHeard(worker)) }
        }
        (heard, progress, signs) = ([], [:], [])
        taken += events.prefix(Self.batchMax)
        events.removeFirst(min(events.count, Self.batchMax))
        return taken
    }

    /// Whether a worker's greeting is pending.
    func isJoining(_ worker: WorkerID) -> Bool {
        events.contains { if case .workerJoined(worker, _) = $0 { true } else { false } }
    }
}
