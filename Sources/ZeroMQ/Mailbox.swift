internal import Synchronization

/// The storage of a mailbox.
protocol MailboxBuffer: Sendable {
    associatedtype Element: Sendable

    mutating func append(_ element: Element)

    mutating func popFirst() -> Element?
}

/// A buffer and the tasks that wait for its elements; it leads from the socket's thread to its consumers.
///
/// Invariant: a task waits only while the buffer is empty and the mailbox is not finished.
final class Mailbox<Buffer: MailboxBuffer>: Sendable {
    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Buffer.Element?, Never>
    }

    private enum WaitOutcome {
        case waiting
        case resume(Buffer.Element?)
    }

    private struct State {
        var buffer: Buffer
        var waiters: [Waiter] = []
        var nextID: UInt64 = 0
        var isFinished = false
    }

    private let state: Mutex<State>

    init(_ buffer: Buffer) {
        state = Mutex(State(buffer: buffer))
    }

    /// Hands an element to the task that has waited longest, or keeps it.
    ///
    /// After `finish()` the element is dropped.
    func append(_ element: Buffer.Element) {
        let delivery: (Waiter, Buffer.Element?)? = state.withLock { state in
            guard !state.isFinished else { return nil }
            state.buffer.append(element)
            guard !state.waiters.isEmpty else { return nil }
            return (state.waiters.removeFirst(), state.buffer.popFirst())
        }
        guard let (waiter, delivered) = delivery else { return }
        waiter.continuation.resume(returning: delivered)
    }

    /// The next element; nil when the mailbox is finished and empty, or the task is cancelled.
    func next() async -> Buffer.Element? {
        if let element = state.withLock({ $0.buffer.popFirst() }) { return element }
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { wait(id: id, continuation: $0) }
        } onCancel: {
            cancel(id: id)
        }
    }

    /// Accepts no more elements; consumers can still take those that are there.
    func finish() {
        let waiters = state.withLock { state in
            state.isFinished = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: nil) }
    }

    /// Reads or changes the buffer without handing elements over.
    func withBuffer<Result: Sendable>(_ body: (inout Buffer) -> Result) -> Result {
        state.withLock { body(&$0.buffer) }
    }

    // MARK: - Waiting

    private func wait(id: UInt64, continuation: CheckedContinuation<Buffer.Element?, Never>) {
        let outcome: WaitOutcome = state.withLock { state in
            // Checked under the lock: a later cancellation finds the waiter, and an earlier one is seen here.
            if Task.isCancelled { return .resume(nil) }
            if let element = state.buffer.popFirst() { return .resume(element) }
            if state.isFinished { return .resume(nil) }
            state.waiters.append(Waiter(id: id, continuation: continuation))
            return .waiting
        }
        guard case .resume(let element) = outcome else { return }
        continuation.resume(returning: element)
    }

    private func cancel(id: UInt64) {
        let waiter: Waiter? = state.withLock { state in
            guard let index = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
            return state.waiters.remove(at: index)
        }
        waiter?.continuation.resume(returning: nil)
    }
}
