import Identifiers
public import WireProtocol
public import ZeroMQ

/// Pushing a file, whose bytes can be sent from any offset on.
extension ClientConnection {
    /// The outcome of a push.
    public enum PushOutcome: Equatable, Sendable {
        /// The file is whole and durable at the coordinator.
        ///
        /// `sentBytes` is 0 if it was there before.
        case whole(sentBytes: UInt64)
        /// The coordinator refuses the file.
        case refused(RequestFailure)
    }

    /// The bytes that are on their way, and the answers that are due.
    private struct Window {
        /// The number of the offer; answers with another number belong to an earlier one.
        var number: UInt64
        var sent: UInt64 = 0
        var unanswered = 0
        /// Whether the offer was answered, so that chunks may be sent.
        var isOpen = false
        var lastNews = ContinuousClock.now

        init(number: UInt64) { self.number = number }
    }

    /// Pushes a file: offers it, and sends the bytes that the coordinator lacks, within its credit.
    ///
    /// When the connection breaks, the file is offered again, and the push goes on where the coordinator's bytes end.
    ///
    /// - Parameters:
    ///   - offer: The file's place, size and digest.
    ///   - timeout: The longest time without an answer.
    ///   - read: Reads bytes of the file: offset and count.
    ///   - onProgress: Receives the bytes that have arrived.
    /// - Returns: Whether the file is there.
    /// - Throws: ``MessagingError`` as ``ask(_:timeout:onProgress:)``, or what `read` throws. The bytes that have
    ///   arrived stay at the coordinator.
    public func push(
        _ offer: PushOffer, timeout: Duration, read: @escaping @Sendable (UInt64, Int) throws -> Frame,
        onProgress: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) async throws -> PushOutcome {
        guard case .file(let content) = offer.content else { return .whole(sentBytes: 0) }
        let link = link
        return try await withNews { news in
            var window = Window(number: nextNumber())
            var sentBytes: UInt64 = 0
            try await link.send(.request(window.number, .pushOffer(offer)))
            for await item in news {
                switch item {
                case .failed(let error): throw error
                case .tick:
                    guard ContinuousClock.now - window.lastNews < timeout else {
                        throw MessagingError.unreachable(endpoint: link.endpoint, waited: timeout)
                    }
                case .disconnected:
                    // What was on its way is lost. Answers to it have the old number.
                    let lastNews = window.lastNews
                    window = Window(number: nextNumber())
                    window.lastNews = lastNews
                    try await link.send(.request(window.number, .pushOffer(offer)))
                case .reply(let number, let reply):
                    guard number == window.number else { continue }
                    window.lastNews = .now
                    switch reply {
                    case .failure(let failure): return .refused(failure)
                    case .push(let state):
                        if state.isWhole { return .whole(sentBytes: sentBytes) }
                        if window.isOpen { window.unanswered -= 1 } else { window.sent = state.offset }
                        window.isOpen = true
                        onProgress(state.offset)
                        sentBytes += try await Self.sendChunks(
                            &window, credit: state.credit, of: content.byteCount, over: link, read: read)
                    default: continue
                    }
                }
            }
            throw MessagingError.closed(endpoint: link.endpoint)
        }
    }

    /// Sends chunks until the credit is used up or all bytes are sent, and returns the bytes that were sent.
    private static func sendChunks(
        _ window: inout Window, credit: Int, of byteCount: UInt64, over link: DealerLink,
        read: (UInt64, Int) throws -> Frame
    ) async throws -> UInt64 {
        let first = window.sent
        while window.unanswered < credit, window.sent < byteCount {
            let count = min(byteCount - window.sent, UInt64(WireLimits.chunkBytes))
            let bytes = try read(window.sent, Int(count))
            try await link.send(.request(window.number, .pushChunk(offset: window.sent)), payload: bytes)
            window.sent += count
            window.unanswered += 1
        }
        return window.sent - first
    }
}
