// Messages that share a frame, because a frame costs more than a message about a brief unit.

/// Reads joined messages.
func joined<Wire, Message>(
    _ messages: [Wire], _ canBeJoined: (Message) -> Bool, _ read: (Wire) throws(WireError) -> Message
) throws(WireError) -> [Message] {
    guard !messages.isEmpty, messages.count <= WireLimits.sequenceMax else {
        throw .malformed("\(messages.count) messages are joined; expected 1 to \(WireLimits.sequenceMax)")
    }
    var joined: [Message] = []
    for wire in messages {
        let message = try read(wire)
        guard canBeJoined(message) else { throw .malformed("a message is joined with others that must stand alone") }
        joined.append(message)
    }
    return joined
}

extension WorkerMessage {
    /// Whether the message may share a frame with others: a word about units and blobs.
    public var canBeJoined: Bool {
        switch self {
        case .started, .finished, .held, .dropped: true
        case .hello, .heartbeat, .failed, .rangeRequest, .rangeCredit, .uploadOffer, .uploadChunk, .collectFailure,
            .draining, .goodbye, .rowSum:
            false
        }
    }
}
