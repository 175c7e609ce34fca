public import LinearAlgebra
public import WireProtocol
public import ZeroMQ

/// Whole rows of a sum, as one message carries them.
public struct RowBatch: Sendable {
    /// The sum's position in the offer.
    public var sum: Int
    /// The type of the elements.
    public var elementType: ElementType
    /// The number of rows, at least 1.
    public var rowCount: Int
    /// The rows one after the other, at most `WireLimits.chunkBytes`.
    public var bytes: Frame

    /// Collects rows.
    public init(sum: Int, elementType: ElementType, rowCount: Int, bytes: Frame) {
        (self.sum, self.elementType, self.rowCount, self.bytes) = (sum, elementType, rowCount, bytes)
    }
}

/// Sending rows, whose sums become a file of partial sums.
extension ClientConnection {
    /// The outcome of an attempt to send the rows of a sequence.
    public enum RowStreamOutcome: Equatable, Sendable {
        /// The file of the sums is durable at the coordinator.
        ///
        /// `sentBytes` is 0 if it was there before.
        case whole(sentBytes: UInt64)
        /// The coordinator refuses the rows, or has ended their stream. Nothing is kept.
        case refused(RequestFailure)
        /// The connection broke, or nothing came for too long. Nothing is kept, unless the coordinator had committed
        /// the stream: then another attempt with the same rows finds the file whole.
        case interrupted(reason: String)
    }

    /// The rows that are on their way, and the answers that are due.
    private struct StreamWindow {
        let number: UInt64
        /// Rows of each sum that were sent.
        var sentRows: [UInt64]
        var sentBytes: UInt64 = 0
        var unanswered = 0
        /// Whether the offer was answered, so that rows may be sent.
        var isOpen = false
        var isExhausted = false
        var isCommitted = false
        var lastNews = ContinuousClock.now

        init(number: UInt64, sumCount: Int) {
            self.number = number
            sentRows = [UInt64](repeating: 0, count: sumCount)
        }
    }

    /// Sends the rows of one sequence within the coordinator's credit, and waits until their sums are durable.
    ///
    /// A stream cannot go on after a loss: another attempt is another call, with all rows from the first on.
    ///
    /// - Parameters:
    ///   - offer: The file's place, its metadata and its sums.
    ///   - timeout: The longest time without an answer that is due.
    ///   - rows: Gives the next rows of any sum, nil after the last ones.
    ///   - commit: The metadata that is known only then: `samples`, and `rows` if they are not those that were sent.
    ///   - onProgress: Receives the bytes that workers have taken.
    /// - Returns: Whether the sums are there.
    /// - Throws: ``MessagingError`` for a connection that cannot go on, or what `rows` throws.
    public func sendRows(
        _ offer: PushOffer, timeout: Duration, rows: @escaping @Sendable () async throws -> RowBatch?,
        commit: @escaping @Sendable () async throws -> [String: String],
        onProgress: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) async throws -> RowStreamOutcome {
        guard case .rows(let stream) = offer.content else { return .whole(sentBytes: 0) }
        let link = link
        return try await withNews { news in
            var window = StreamWindow(number: nextNumber(), sumCount: stream.sums.count)
            try await link.send(.request(window.number, .pushOffer(offer)))
            for await item in news {
                switch item {
                case .failed(let error): throw error
                case .disconnected: return .interrupted(reason: "the connection to the coordinator broke")
                case .tick:
                    guard ContinuousClock.now - window.lastNews >= timeout else { continue }
                    return .interrupted(reason: "the coordinator did not answer within \(timeout)")
                case .reply(let number, let reply):
                    // Answers with another number belong to an earlier attempt.
                    guard number == window.number else { continue }
                    window.lastNews = .now
                    switch reply {
                    case .failure(let failure): return .refused(failure)
                    case .push(let state):
                        if state.isWhole { return .whole(sentBytes: window.sentBytes) }
                        if window.isOpen { window.unanswered -= 1 }
                        window.isOpen = true
                        onProgress(state.offset)
                        try await Self.sendBatches(&window, credit: state.credit, over: link, from: rows)
                        // The source of rows may have taken long; the time for an answer begins now.
                        window.lastNews = .now
                        guard window.isExhausted, window.unanswered == 0, !window.isCommitted else { continue }
                        window.isCommitted = true
                        let metadata = try await commit()
                        try await link.send(.request(window.number, .pushCommit(metadata: metadata)))
                    // Such as the progress of a commit, which shows that the coordinator lives.
                    default: continue
                    }
                }
            }
            throw MessagingError.closed(endpoint: link.endpoint)
        }
    }

    /// Sends rows until the credit is used up or there are no more.
    private static func sendBatches(
        _ window: inout StreamWindow, credit: Int, over link: DealerLink, from rows: () async throws -> RowBatch?
    ) async throws {
        while window.unanswered < credit, !window.isExhausted {
            guard let batch = try await rows() else {
                window.isExhausted = true
                return
            }
            let place = PushedRows(
                sum: batch.sum, firstRow: window.sentRows[batch.sum], elementType: batch.elementType)
            try await link.send(.request(window.number, .pushRows(place)), payload: batch.bytes)
            window.sentRows[batch.sum] += UInt64(batch.rowCount)
            window.sentBytes += UInt64(batch.bytes.byteCount)
            window.unanswered += 1
        }
    }
}
