/// The name that a router gives to one connected peer.
///
/// Source: zmq_socket(3), ROUTER: 1 to 255 bytes. The peer chooses them (its `ZMQ_ROUTING_ID`), or the router makes
/// them up; then the first byte is zero. A chosen name proves nothing: ``Message/authenticatedUser`` does.
public struct RoutingIdentity: Hashable, Sendable, CustomStringConvertible {
    /// The identity's bytes.
    public let bytes: [UInt8]

    /// Makes an identity that a peer may choose for itself.
    ///
    /// - Throws: ``ZeroMQError/invalidRoutingIdentity(byteCount:)`` unless it has 1 to 255 bytes, the first not zero.
    public init(bytes: [UInt8]) throws(ZeroMQError) {
        guard (1...255).contains(bytes.count), bytes.first != 0 else {
            throw .invalidRoutingIdentity(byteCount: bytes.count)
        }
        self.bytes = bytes
    }

    /// Makes an identity from the UTF-8 bytes of a text.
    ///
    /// - Throws: ``ZeroMQError/invalidRoutingIdentity(byteCount:)`` unless it has 1 to 255 bytes, the first not zero.
    public init(_ text: String) throws(ZeroMQError) {
        try self.init(bytes: Array(text.utf8))
    }

    /// Takes the identity frame that a router put before a message.
    init(received frame: Frame) {
        bytes = frame.copyBytes()
    }

    /// The text when every byte is printable ASCII, otherwise `0x` and the bytes in hexadecimal digits.
    public var description: String {
        if bytes.allSatisfy({ (0x21...0x7e).contains($0) }) {
            return String(decoding: bytes, as: UTF8.self)
        }
        return bytes.reduce(into: "0x") { text, byte in
            text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
    }
}
