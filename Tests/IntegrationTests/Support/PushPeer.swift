import Foundation
import Identifiers
import LinearAlgebra
import Testing
import WireProtocol
import ZeroMQ

/// A client that pushes message by message, so that a test can end a push at any of them.
final class PushPeer {
    private let channel: MessageChannel
    private let context: Context
    private var number: UInt64 = 0

    /// An answer of the coordinator.
    enum Answer: Equatable {
        case state(PushState)
        case failure(RequestFailure.Kind, String)
        /// The coordinator ends the connection.
        case refusal(String)
    }

    /// Connects without keys.
    ///
    /// - Throws: what ZeroMQ throws.
    init(_ endpoint: String) async throws {
        context = try Context()
        channel = try await MessageChannel.connect(try Endpoint(endpoint), context: context)
    }

    /// Offers a file.
    ///
    /// - Throws: what ZeroMQ throws.
    func offer(
        _ bytes: [UInt8], digest: BlobDigest? = nil, run: RunName = "monday", rank: Int = 0, sequence: Int = 0,
        byteCount: UInt64? = nil
    ) async throws {
        number += 1
        let content = BlobReference(
            digest: digest ?? Self.sha256(bytes), byteCount: byteCount ?? UInt64(bytes.count))
        let offer = PushOffer(
            run: run, place: PartialsPlace(rank: rank, sequence: sequence), host: "peer", content: .file(content))
        try await send(.request(number, .pushOffer(offer)))
    }

    /// Sends bytes for an offset.
    ///
    /// - Throws: what ZeroMQ throws.
    func chunk(_ bytes: some Sequence<UInt8>, at offset: UInt64) async throws {
        try await send(.request(number, .pushChunk(offset: offset)), Array(bytes))
    }

    /// Offers rows.
    ///
    /// - Throws: what ZeroMQ throws.
    func offer(_ rows: RowStreamOffer, run: RunName = "monday", rank: Int = 0, sequence: Int = 0) async throws {
        number += 1
        let offer = PushOffer(
            run: run, place: PartialsPlace(rank: rank, sequence: sequence), host: "peer", content: .rows(rows))
        try await send(.request(number, .pushOffer(offer)))
    }

    /// Sends rows.
    ///
    /// - Throws: what ZeroMQ throws.
    func rows(_ tensor: Tensor, sum: Int, firstRow: UInt64 = 0) async throws {
        let type = try #require(ElementType(rawValue: tensor.elementType.rawValue))
        let rows = PushedRows(sum: sum, firstRow: firstRow, elementType: type)
        try await send(.request(number, .pushRows(rows)), Array(tensor.bytes))
    }

    /// Ends the rows.
    ///
    /// - Throws: what ZeroMQ throws.
    func commit(_ metadata: [String: String]) async throws {
        try await send(.request(number, .pushCommit(metadata: metadata)))
    }

    /// Waits for the next answer to the current push; progress is skipped.
    ///
    /// - Throws: what ZeroMQ throws.
    func answer() async throws -> Answer {
        while true {
            let message = try await channel.receive()
            switch try WireMessage(decoding: message.frames[0].copyBytes()) {
            case .reply(number, .push(let state)): return .state(state)
            case .reply(number, .failure(let failure)): return .failure(failure.kind, failure.description)
            case .refusal(let refusal): return .refusal(refusal.message)
            default: continue
            }
        }
    }

    /// Ends the connection.
    func close() async { await channel.close(flushingFor: .zero) }

    private func send(_ message: WireMessage, _ payload: [UInt8]? = nil) async throws {
        let first = Frame(try message.encoded())
        try await channel.send(Message(payload.map { [first, Frame($0)] } ?? [first]))
    }

    /// The digest of bytes.
    static func sha256(_ bytes: [UInt8]) -> BlobDigest {
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
        process.standardInput = input
        process.standardOutput = output
        do {
            try process.run()
        } catch {
            Issue.record("\(error)")
        }
        let writer = input.fileHandleForWriting
        Thread.detachNewThread {
            try? writer.write(contentsOf: Data(bytes))
            try? writer.close()
        }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return BlobDigest(hexadecimal: text.prefix(64)) ?? BlobDigest(sha256: [UInt8](repeating: 0, count: 32))
    }
}
