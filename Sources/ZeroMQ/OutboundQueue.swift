internal import Synchronization

/// Messages that wait to be handed to libzmq, bounded in number and bytes, and the tasks that wait for room.
///
/// Messages leave in the order in which `append` was called, also those of waiting tasks.
final class OutboundQueue: Sendable {
    private typealias Continuation = CheckedContinuation<Result<Void, ZeroMQError>, Never>

    private struct Waiter {
        let id: UInt64
        let message: Message
        let byteCount: Int
        let continuation: Continuation
    }

    private struct State {
        var messages = RingQueue<Message>()
        var byteCount = 0
        var waiters: [Waiter] = []
        var nextID: UInt64 = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let messagesMax: Int
    private let bytesMax: Int
    private let onMessage: @Sendable () -> Void

    init(limits: ChannelLimits, onMessage: @escaping @Sendable () -> Void) {
        messagesMax = max(limits.outboundMessages, 1)
        bytesMax = max(limits.outboundBytes, 1)
        self.onMessage = onMessage
    }

    // MARK: - For senders

    /// Queues a message if there is room now.
    ///
    /// - Throws: ``ZeroMQError/closed``; the message is not queued.
    func tryAppend(_ message: Message) throws(ZeroMQError) -> Bool {
        let isAppended = try state.withLock { state throws(ZeroMQError) in
            guard !state.isClosed else { throw .closed }
            guard state.waiters.isEmpty, hasRoom(for: message.byteCount, in: state) else { return false }
            append(message, byteCount: message.byteCount, to: &state)
            return true
        }
        if isAppended { onMessage() }
        return isAppended
    }

    /// Queues a message; waits for room if the queue is full.
    ///
    /// - Throws: ``ZeroMQError/closed`` or ``ZeroMQError/cancelled``; the message is not queued.
    func append(_ message: Message) async throws(ZeroMQError) {
        if try tryAppend(message) { return }
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let result: Result<Void, ZeroMQError> = await withTaskCancellationHandler {
            await withCheckedContinuation { wait(id: id, message: message, continuation: $0) }
        } onCancel: {
            cancel(id: id)
        }
        try result.get()
    }

    /// Refuses further messages and those of waiting tasks; queued messages stay.
    func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: .failure(.closed)) }
    }

    // MARK: - For the socket's thread

    /// The next message to hand over; it keeps its place until ``removeFirst()``.
    var first: Message? { state.withLock { $0.messages.first } }

    /// Removes the message that was handed over, and gives its room to waiting tasks.
    func removeFirst() {
        let admitted = state.withLock { state -> ArraySlice<Waiter> in
            guard let message = state.messages.popFirst() else { return [] }
            state.byteCount -= message.byteCount
            var admittedCount = 0
            for waiter in state.waiters {
                guard hasRoom(for: waiter.byteCount, in: state) else { break }
                append(waiter.message, byteCount: waiter.byteCount, to: &state)
                admittedCount += 1
            }
            guard admittedCount > 0 else { return [] }
            defer { state.waiters.removeFirst(admittedCount) }
            return state.waiters[..<admittedCount]
        }
        for waiter in admitted { waiter.continuation.resume(returning: .success(())) }
    }

    /// Drops the queued messages and returns their number.
    func removeAll() -> Int {
        state.withLock { state in
            defer {
                state.messages.removeAll()
                state.byteCount = 0
            }
            return state.messages.count
        }
    }

    /// Messages, bytes and waiting tasks at this moment.
    var counts: (messages: Int, bytes: Int, waiters: Int) {
        state.withLock { ($0.messages.count, $0.byteCount, $0.waiters.count) }
    }

    // MARK: - Room and waiting

    private func hasRoom(for byteCount: Int, in state: borrowing State) -> Bool {
        // An empty queue accepts a message above the byte limit, which could never be sent otherwise.
        if state.messages.isEmpty { return true }
        return state.messages.count < messagesMax && byteCount <= bytesMax - min(state.byteCount, bytesMax)
    }

    private func append(_ message: Message, byteCount: Int, to state: inout State) {
        state.messages.append(message)
        state.byteCount += byteCount
    }

    private func wait(id: UInt64, message: Message, continuation: Continuation) {
        let byteCount = message.byteCount
        let result: Result<Void, ZeroMQError>? = state.withLock { state in
            if state.isClosed { return .failure(.closed) }
            // Checked under the lock: a later cancellation finds the waiter, and an earlier one is seen here.
            if Task.isCancelled { return .failure(.cancelled) }
            if state.waiters.isEmpty, hasRoom(for: byteCount, in: state) {
                append(message, byteCount: byteCount, to: &state)
                return .success(())
            }
            state.waiters.append(
                Waiter(id: id, message: message, byteCount: byteCount, continuation: continuation)
            )
            return nil
        }
        guard let result else { return }
        if case .success = result { onMessage() }
        continuation.resume(returning: result)
    }

    private func cancel(id: UInt64) {
        let waiter: Waiter? = state.withLock { state in
            guard let index = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
            return state.waiters.remove(at: index)
        }
        waiter?.continuation.resume(returning: .failure(.cancelled))
    }
}
