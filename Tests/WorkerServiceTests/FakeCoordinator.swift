import Identifiers
import Messaging
import Synchronization
import Testing
import WireProtocol
import ZeroMQ

/// A coordinator that the test controls, over a real socket.
///
/// It welcomes, serves bytes and accepts uploads. It sends other messages only when the test says so.
final class FakeCoordinator: Sendable {
    /// A message that a test waited for did not arrive before the connection ended.
    struct NothingCame: Error {
        let awaited: String
    }

    private struct State {
        var peer: RoutingIdentity?
        var lastPayload: Frame?
        var sources: [RangeRequest.Source: [UInt8]] = [:]
        var withheld: Set<RangeRequest.Source> = []
        var uploads: [UInt64: (blob: BlobReference, bytes: [UInt8])] = [:]
        var stored: [BlobDigest: [UInt8]] = [:]
    }

    private let listener: CoordinatorEndpoint
    private let state = Mutex(State())
    private let messages: AsyncStream<WorkerMessage>
    private let sink: AsyncStream<WorkerMessage>.Continuation

    /// The endpoint where it listens.
    var endpoint: Endpoint { listener.endpoint }

    init(context: Context) async throws {
        listener = try await CoordinatorEndpoint.bind(try Endpoint("tcp://127.0.0.1:0"), context: context)
        (messages, sink) = AsyncStream.makeStream(of: WorkerMessage.self)
    }

    /// Bytes that workers may fetch.
    func offer(_ bytes: [UInt8], as source: RangeRequest.Source) {
        state.withLock { $0.sources[source] = bytes }
    }

    /// A source for which requests are never answered.
    func withhold(_ source: RangeRequest.Source) {
        _ = state.withLock { $0.withheld.insert(source) }
    }

    /// Answers requests for a source from now on.
    func stopWithholding(_ source: RangeRequest.Source) {
        _ = state.withLock { $0.withheld.remove(source) }
    }

    /// The bytes of a completed upload.
    func stored(_ digest: BlobDigest) -> [UInt8]? {
        state.withLock { $0.stored[digest] }
    }

    /// The bytes of the last message that had some.
    var lastPayload: Frame? { state.withLock { $0.lastPayload } }

    func send(_ message: CoordinatorMessage, payload: Frame? = nil) async {
        guard let peer = state.withLock({ $0.peer }) else { return }
        await listener.send(.coordinator(message), payload: payload, to: peer)
    }

    /// Sends joined orders.
    func send(_ orders: [CoordinatorMessage]) async {
        guard let peer = state.withLock({ $0.peer }) else { return }
        await listener.send(.coordinatorSequence(orders), to: peer)
    }

    /// The next message that the test waits for; others are skipped.
    func next<Value>(_ awaited: String, _ pick: (WorkerMessage) -> Value?) async throws -> Value {
        for await message in messages {
            if let value = pick(message) { return value }
        }
        throw NothingCame(awaited: awaited)
    }

    func close() async {
        await listener.close()
    }

    /// Answers until it is closed.
    func serve() async {
        while let arrival = await listener.next() {
            guard case .message(let message, let payload, let peer) = arrival else { continue }
            let words: [WorkerMessage]
            switch message {
            case .worker(let word): words = [word]
            case .workerSequence(let sequence): words = sequence
            default: continue
            }
            state.withLock { state in
                state.peer = peer
                state.lastPayload = payload ?? state.lastPayload
            }
            for word in words {
                await answer(word, payload)
                sink.yield(word)
            }
        }
        sink.finish()
    }

    private func answer(_ message: WorkerMessage, _ payload: Frame?) async {
        switch message {
        case .hello:
            // A worker without units is not heard again by itself.
            await send(
                .welcome(
                    coordinator: "test", heartbeatInterval: .milliseconds(20), idleHeartbeatInterval: .seconds(3600)))
        case .rangeRequest(let request): await serve(request)
        case .uploadOffer(let transfer, let blob):
            state.withLock { $0.uploads[transfer] = (blob, []) }
            await send(.uploadCredit(transfer: transfer, chunks: 2))
        case .uploadChunk(let transfer, let offset):
            let isWhole = state.withLock { state in
                guard let payload, let upload = state.uploads[transfer], Int(offset) == upload.bytes.count else {
                    return false
                }
                state.uploads[transfer]?.bytes += payload.copyBytes()
                guard let upload = state.uploads[transfer], upload.bytes.count == Int(upload.blob.byteCount) else {
                    return false
                }
                state.stored[upload.blob.digest] = upload.bytes
                return true
            }
            await send(isWhole ? .uploadStored(transfer: transfer) : .uploadCredit(transfer: transfer, chunks: 1))
        default: break
        }
    }

    private func serve(_ request: RangeRequest) async {
        let (bytes, isWithheld) = state.withLock { ($0.sources[request.source], $0.withheld.contains(request.source)) }
        guard !isWithheld, let peer = state.withLock({ $0.peer }) else { return }
        guard let bytes, Int(request.offset + request.byteCount) <= bytes.count else {
            await send(.rangeFailure(transfer: request.transfer, message: "the test has no such bytes"))
            return
        }
        let end = Int(request.offset + request.byteCount)
        for start in stride(from: Int(request.offset), to: end, by: WireLimits.chunkBytes) {
            let chunk = Array(bytes[start..<min(start + WireLimits.chunkBytes, end)])
            await listener.send(
                .coordinator(.rangeChunk(transfer: request.transfer, offset: UInt64(start))), payload: Frame(chunk),
                to: peer)
        }
    }
}
