import Identifiers
import Scheduling

/// Events that wait while the journal commits earlier ones.
///
/// A commit may take hours when the disk is full. Signs of life go on meanwhile: each worker's latest is kept. Other
/// events cease soon, since the orders that they wait for do not leave before the commit.
/// Bound: ``eventsMax``.
struct PendingEvents {
    /// Events kept, signs of life aside.
    static let eventsMax = 100_000
    /// Events handled at once: others get their turn in between.
    static let batchMax = 1000

    private var events: [SchedulerEvent] = []
    private var heard: Set<WorkerID> = []
    private var progress: [WorkerID: [UnitProgress]] = [:]
    /// In which order workers were heard first.
    private var signs: [WorkerID] = []

    var isEmpty: Bool { events.isEmpty && signs.isEmpty }

    /// Adds an event.
    ///
    /// - Returns: Whether there was room for it.
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

    /// Whether nobody would say it again: these few are bounded where they come from.
    private func isNeverRepeated(_ event: SchedulerEvent) -> Bool {
        switch event {
        case .jobSubmitted, .workerJoined, .workerLeft, .restarted: true
        case .unitFinished(_, _, .coordinator, _, _), .unitFailed(_, _, .coordinator, _): true
        default: false
        }
    }

    private mutating func noteSign(of worker: WorkerID) {
        if heard.contains(worker) != (progress[worker] != nil) { signs.append(worker) }
    }

    /// Takes the first events out: signs of life before all others, so that nobody is given up who was heard.
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

    /// Whether a worker's greeting is among them.
    func isJoining(_ worker: WorkerID) -> Bool {
        events.contains { if case .workerJoined(worker, _) = $0 { true } else { false } }
    }
}
