import Identifiers
import WireProtocol

/// Something that waits in a ``WorkQueue``.
protocol QueuedWork: Sendable {
    /// What it becomes when somebody takes it.
    associatedtype Begun: Sendable
    /// What tells it from everything else.
    associatedtype Name: Hashable, Sendable

    var name: Name { get }

    func begun() -> Begun
}

/// What a worker was asked for, in the order in which it came, and those of it that are being done.
actor WorkQueue<Work: QueuedWork> {
    /// Most that waits.
    let limit: Int

    private var waiting: [Work] = []
    private var begun: [Work.Name: Work.Begun] = [:]
    private var waiters: [CheckedContinuation<Work.Begun?, Never>] = []
    private var isClosed = false

    init(limit: Int) {
        self.limit = limit
    }

    /// How many have not begun.
    var count: Int { waiting.count }

    /// Puts work behind the other, or hands it to somebody who waits; what is here already is not taken twice.
    ///
    /// - Returns: Whether there was room.
    @discardableResult
    func add(_ work: Work) -> Bool {
        guard !isClosed, begun[work.name] == nil, !waiting.contains(where: { $0.name == work.name }) else {
            return true
        }
        if !waiters.isEmpty {
            waiters.removeFirst().resume(returning: begin(work))
            return true
        }
        guard waiting.count < limit else { return false }
        waiting.append(work)
        return true
    }

    /// Waits for the next; `nil` when no more will come.
    func next() async -> Work.Begun? {
        if !waiting.isEmpty { return begin(waiting.removeFirst()) }
        guard !isClosed else { return nil }
        return await withCheckedContinuation { waiters.append($0) }
    }

    /// Ends what ``next()`` gave, however it went.
    func end(_ name: Work.Name) {
        begun[name] = nil
    }

    /// Forgets what waits: a coordinator that was restarted asks anew for what it still wants.
    func removeAll() {
        waiting.removeAll()
    }

    /// Ends the waiting of all; what was queued is forgotten.
    func close() {
        isClosed = true
        waiting.removeAll()
        for waiter in waiters { waiter.resume(returning: nil) }
        waiters.removeAll()
    }

    private func begin(_ work: Work) -> Work.Begun {
        let begun = work.begun()
        self.begun[work.name] = begun
        return begun
    }
}

// MARK: - Units

extension UnitLease: QueuedWork {
    var name: LeasedUnit { leased }

    func begun() -> BegunUnit { BegunUnit(lease: self) }
}

extension WorkQueue where Work == UnitLease {
    /// The units that a worker was given.
    ///
    /// Bound: the coordinator gives a worker only a few units beyond its lanes.
    static func units() -> WorkQueue { WorkQueue(limit: .max) }

    /// Forgets a unit, and ends its computation if it has begun; see `WorkerOrder.revoke`.
    func revoke(_ unit: LeasedUnit) {
        waiting.removeAll { $0.name == unit }
        begun[unit]?.revoke()
    }
}

// MARK: - Wishes

extension BlobDigest: QueuedWork {
    var name: BlobDigest { self }

    func begun() -> BlobDigest { self }
}

extension WorkQueue where Work == BlobDigest {
    /// The blobs that the coordinator wants.
    ///
    /// Bound: 64; the coordinator asks one worker for no more at a time.
    static func wishes() -> WorkQueue { WorkQueue(limit: 64) }
}
