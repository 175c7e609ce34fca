package import WireProtocol
package import ZeroMQ

extension Message {
    /// Encodes a message of the protocol: the first frame is the message, the second the bytes that belong to it.
    init(
        _ message: WireMessage, payload: Frame? = nil, to peer: RoutingIdentity? = nil
    ) throws(WireError) {
        let first = Frame(try message.encoded())
        self.init(to: peer, payload.map { [first, $0] } ?? [first])
    }

    /// Decodes the message and the bytes that belong to it.
    ///
    /// - Throws: ``WireError`` for anything that is not a message of this version.
    package func decoded() throws(WireError) -> (message: WireMessage, payload: Frame?) {
        guard let first = frames.first, frames.count <= 2 else {
            throw .malformed("it has \(frames.count) frames")
        }
        guard first.byteCount <= WireLimits.messageBytesMax else {
            throw .tooLarge(byteCount: first.byteCount, byteCountMax: WireLimits.messageBytesMax)
        }
        return (try WireMessage(decoding: first.copyBytes()), frames.count == 2 ? frames[1] : nil)
    }
}
