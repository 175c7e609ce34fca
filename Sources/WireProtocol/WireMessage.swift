import SwiftProtobuf

/// A message between two processes, without the bytes of tensors that may follow it in a second frame.
public enum WireMessage: Equatable, Sendable {
    /// The sender refuses to talk to the peer.
    case refusal(PeerRefusal)
    /// From a worker.
    case worker(WorkerMessage)
    /// Several words of a worker about units and blobs, in their order.
    case workerSequence([WorkerMessage])
    /// To a worker.
    case coordinator(CoordinatorMessage)
    /// Several orders to a worker about units and blobs, in their order.
    case coordinatorSequence([CoordinatorMessage])
    /// From a client.
    case request(UInt64, ClientRequest)
    /// To a client, with the number of its request.
    case reply(UInt64, ClientReply)

    /// Reads a message's first frame.
    ///
    /// - Parameter bytes: The frame. It may come from a hostile peer.
    /// - Throws: ``WireError`` for bytes that are not a message of this version.
    public init(decoding bytes: [UInt8]) throws(WireError) {
        guard bytes.count <= WireLimits.messageBytesMax else {
            throw .tooLarge(byteCount: bytes.count, byteCountMax: WireLimits.messageBytesMax)
        }
        guard FieldBudget.allows(bytes) else { throw .tooManyFields }
        let envelope: WireEnvelope
        do {
            envelope = try WireEnvelope(serializedBytes: bytes)
        } catch {
            throw .malformed("it is not an envelope of the protocol")
        }
        if case .refusal(let refusal) = envelope.body {
            self = .refusal(PeerRefusal(supportedVersion: refusal.supportedVersion, message: refusal.message))
            return
        }
        guard envelope.version == WireLimits.version else {
            throw .versionMismatch(found: envelope.version, supported: WireLimits.version)
        }
        switch envelope.body {
        case .worker(let message): self = .worker(try WorkerMessage(message))
        case .workerSequence(let sequence):
            self = .workerSequence(
                try joined(sequence.messages, \WorkerMessage.canBeJoined) { word throws(WireError) in
                    try WorkerMessage(word)
                })
        case .coordinator(let message): self = .coordinator(try CoordinatorMessage(message))
        case .coordinatorSequence(let sequence):
            self = .coordinatorSequence(
                try joined(sequence.messages, \CoordinatorMessage.canBeJoined) { order throws(WireError) in
                    try CoordinatorMessage(order)
                })
        case .request(let message): self = .request(message.request, try ClientRequest(message))
        case .reply(let message): self = .reply(message.request, try ClientReply(message))
        case .refusal, nil: throw .malformed("it has no body")
        }
    }

    /// The bytes of the message's first frame.
    ///
    /// - Throws: ``WireError/tooLarge(byteCount:byteCountMax:)`` or ``WireError/tooManyFields`` when a peer would
    ///   refuse the message.
    public func encoded() throws(WireError) -> [UInt8] {
        var envelope = WireEnvelope()
        envelope.version = WireLimits.version
        switch self {
        case .refusal(let refusal):
            envelope.refusal.supportedVersion = refusal.supportedVersion
            envelope.refusal.message = refusal.message
        case .worker(let message): envelope.worker = message.wire
        case .workerSequence(let words): envelope.workerSequence.messages = words.map(\.wire)
        case .coordinator(let message): envelope.coordinator = message.wire
        case .coordinatorSequence(let orders): envelope.coordinatorSequence.messages = orders.map(\.wire)
        case .request(let number, let request):
            envelope.request = request.wire
            envelope.request.request = number
        case .reply(let number, let reply):
            envelope.reply = reply.wire
            envelope.reply.request = number
        }
        let bytes: [UInt8]
        do {
            bytes = try envelope.serializedBytes()
        } catch {
            throw .malformed("it cannot be encoded (\(error))")
        }
        guard bytes.count <= byteCountMax else {
            throw .tooLarge(byteCount: bytes.count, byteCountMax: byteCountMax)
        }
        // Every field takes at least two bytes. The sender reports what the peer would refuse.
        guard bytes.count <= 2 * WireLimits.fieldsMax || FieldBudget.allows(bytes) else { throw .tooManyFields }
        return bytes
    }

    /// The most bytes of the message's first frame.
    private var byteCountMax: Int {
        switch self {
        case .worker, .workerSequence, .request: WireLimits.requestBytesMax
        case .refusal, .coordinator, .coordinatorSequence, .reply: WireLimits.messageBytesMax
        }
    }
}

/// Why a peer is refused.
public struct PeerRefusal: Equatable, Sendable {
    /// The version that the refusing side speaks.
    public var supportedVersion: UInt32
    /// The sentence for the person at the other end.
    public var message: String

    /// States why a peer is refused.
    public init(supportedVersion: UInt32 = WireLimits.version, message: String) {
        self.supportedVersion = supportedVersion
        self.message = message
    }
}
