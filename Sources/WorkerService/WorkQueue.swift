import Identifiers
import Synchronization
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
///
/// Safe to use from any thread. It is no actor, because a lane that finds its next unit here does not change threads.
final class WorkQueue<Work: QueuedWork>: Sendable {
    private typealias Waiter = CheckedContinuation<Work.Begun?, Never>

    private struct State {
        var waiting: [Work] = []
        var begun: [Work.Name: Work.Begun] = [:]
        var waiters: [Waiter] = []
        var isClosed = false

        mutating func beginNext() -> Work.Begun? {
            waiting.isEmpty ? nil : begin(waiting.removeFirst())
        }

        mutating func begin(_ work: Work) -> Work.Begun {
            let begun = work.begun()
            self.begun[work.name] = begun
            return begun
        }
    }

    /// The most work that may wait.
    let limit: Int
    private let state = Mutex(State())

    init(limit: Int) {
        self.limit = limit
    }

    /// The count of waiting work.
    var count: Int { state.withLock { $0.waiting.count } }

    /// Adds work at the end, or gives it to a waiting task; work that is already here is not added again.
    ///
    /// - Returns: Whether there was room.
    @discardableResult
    func add(_ work: Work) -> Bool {
        let (hasRoom, delivery) = state.withLock { state -> (Bool, (Waiter, Work.Begun)?) in
            guard !state.isClosed, state.begun[work.name] == nil,
                !state.waiting.contains(where: { $0.name == work.name })
            else { return (true, nil) }
            if !state.waiters.isEmpty { return (true, (state.waiters.removeFirst(), state.begin(work))) }
            guard state.waiting.count < limit else { return (false, nil) }
            state.waiting.append(work)
            return (true, nil)
        }
        if let (waiter, begun) = delivery { waiter.resume(returning: begun) }
        return hasRoom
    }

    /// The next work, if any waits.
    func nextWaiting() -> Work.Begun? {
        state.withLock { $0.beginNext() }
    }

    /// Waits for the next work; `nil` if no more will come.
    func next() async -> Work.Begun? {
        if let begun = nextWaiting() { return begun }
        return await withCheckedContinuation { waiter in
            let answer = state.withLock { state -> Work.Begun?? in
                if let begun = state.beginNext() { return begun }
                if state.isClosed { return .some(nil) }
                state.waiters.append(waiter)
                return nil
            }
            if let answer { waiter.resume(returning: answer) }
        }
    }

    /// Ends work that ``next()`` gave, with any outcome.
    func end(_ name: Work.Name) {
        state.withLock { $0.begun[name] = nil }
    }

    /// Forgets waiting work that is not wanted.
    ///
    /// - Returns: The work of this name, if it has begun.
    @discardableResult
    func remove(_ name: Work.Name) -> Work.Begun? {
        state.withLock { state in
            state.waiting.removeAll { $0.name == name }
            return state.begun[name]
        }
    }

    /// Forgets the waiting work, because a restarted coordinator asks again for what it still wants.
    func removeAll() {
        state.withLock { $0.waiting.removeAll() }
    }

    /// Forgets the waiting work, and returns `nil` to all waiting tasks.
    func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            state.waiting.removeAll()
            defer { state.waiters.removeAll() }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: nil) }
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
    func revoke(_ unit: LeasedUnit) { remove(unit)?.revoke() }
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
