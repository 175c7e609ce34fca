import Identifiers
import WireProtocol

/// Work that can wait in a ``WorkQueue``.
protocol QueuedWork: Sendable {
    /// The type of the work after it has begun.
    associatedtype Begun: Sendable
    /// The type of the name, which identifies the work.
    associatedtype Name: Hashable, Sendable

    var name: Name { get }

    func begun() -> Begun
}

/// A queue of work for a worker in the order of arrival, with the work that has begun.
actor WorkQueue<Work: QueuedWork> {
    /// The most work that may wait.
    let limit: Int

    private var waiting: [Work] = []
    private var begun: [Work.Name: Work.Begun] = [:]
    private var waiters: [CheckedContinuation<Work.Begun?, Never>] = []
    private var isClosed = false

    init(limit: Int) {
        self.limit = limit
    }

    /// The count of waiting work.
    var count: Int { waiting.count }

    /// Adds work at the end, or gives it to a waiting task; work that is already here is not added again.
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

    /// Waits for the next work; `nil` if no more will come.
    func next() async -> Work.Begun? {
        if !waiting.isEmpty { return begin(waiting.removeFirst()) }
        guard !isClosed else { return nil }
        return await withCheckedContinuation { waiters.append($0) }
    }

    /// Ends work that ``next()`` gave, with any outcome.
    func end(_ name: Work.Name) {
        begun[name] = nil
    }

    /// Forgets the waiting work, because a restarted coordinator asks again for what it still wants.
    func removeAll() {
        waiting.removeAll()
    }

    /// Forgets the waiting work, and returns `nil` to all waiting tasks.
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
    /// Creates the queue of a worker's units.
    ///
    /// Bound: the coordinator gives a worker only a few units beyond its lanes.
    static func units() -> WorkQueue { WorkQueue(limit: .max) }

    /// Forgets a unit, and ends its computation if it has begun; see `WorkerOrder.revoke`.
    func revoke(_ unit: LeasedUnit) {
        waiting.removeAll { $0.name == unit }
        begun[unit]?.revoke()
    }
}

// MARK: - Wanted blobs

extension BlobDigest: QueuedWork {
    var name: BlobDigest { self }

    func begun() -> BlobDigest { self }
}

extension WorkQueue where Work == BlobDigest {
    /// Creates the queue of blobs that the coordinator wants.
    ///
    /// Bound: 64, because the coordinator asks one worker for no more at a time.
    static func wishes() -> WorkQueue { WorkQueue(limit: 64) }
}
