import WireProtocol

/// What happens while a client pushes.
enum PushNews: Sendable {
    /// The coordinator answers.
    case reply(number: UInt64, ClientReply)
    /// The connection broke, and is made again; what was on its way is lost.
    case disconnected
    /// The connection cannot go on.
    case failed(MessagingError)
    /// Half a second has passed, so that a silence is noticed.
    case tick
}

extension ClientConnection {
    /// Listens while a body pushes, and tells it all news.
    ///
    /// Bound: the answers within the coordinator's credit, and a tick for each half second.
    func withNews<Result: Sendable>(_ body: (AsyncStream<PushNews>) async throws -> Result) async throws -> Result {
        let link = link
        let (news, sink) = AsyncStream.makeStream(of: PushNews.self)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await Self.listen(to: link, sink) }
            group.addTask { await Self.watchConnection(of: link, sink) }
            group.addTask {
                while (try? await Task.sleep(for: .milliseconds(500))) != nil { sink.yield(.tick) }
            }
            defer { group.cancelAll() }
            return try await body(news)
        }
    }

    private static func listen(to link: DealerLink, _ sink: AsyncStream<PushNews>.Continuation) async {
        do throws(MessagingError) {
            while true {
                guard case .reply(let number, let reply) = try await link.receive(isStrict: true).message else {
                    continue
                }
                sink.yield(.reply(number: number, reply))
            }
        } catch {
            if !Task.isCancelled { sink.yield(.failed(error)) }
        }
    }

    private static func watchConnection(of link: DealerLink, _ sink: AsyncStream<PushNews>.Continuation) async {
        do throws(MessagingError) {
            try await watch(link) { () throws(MessagingError) in sink.yield(.disconnected) }
        } catch {
            sink.yield(.failed(error))
        }
    }
}
