import Identifiers
import Messaging
import WireProtocol
import ZeroMQ

/// Separates the frames of one input.
private let frameSeparator: [UInt8] = [0xFF, 0xFE, 0xFD, 0xFC]

/// Decodes received frames as the coordinator does before a handler sees them, and checks its answer to the peer.
func takeMessage(_ bytes: [UInt8]) throws(BrokenPromise) {
    var assembly = MessageAssembly(limits: CoordinatorEndpoint.limits, isIdentityFirst: true, hasAuthenticator: false)
    assembly.append("peer", user: nil)
    for frame in frames(in: ofThisVersion(bytes)) { assembly.append(frame, user: nil) }
    guard case .success(let received) = assembly.finish() else { return }
    let message: WireMessage
    do throws(WireError) {
        message = try received.decoded().message
    } catch {
        let refusal = WireMessage.refusal(PeerRefusal(message: error.description))
        guard let answer = try accepted({ try refusal.encoded() }), answer.count <= 2000 else {
            throw BrokenPromise("a refusal that cannot be sent: \(error.description.prefix(200))")
        }
        return
    }
    // Compared as bytes, because NaN differs from itself.
    guard let sent = try accepted({ try message.encoded() }),
        let again = try accepted({ try WireMessage(decoding: sent).encoded() }), again == sent
    else { throw BrokenPromise("a message that was accepted changes on its way") }
}

/// The bytes of an earlier version of the protocol as bytes of this one, so that the corpus outlives versions.
private func ofThisVersion(_ bytes: [UInt8]) -> [UInt8] {
    // The first field of an envelope is its version, a number of one byte.
    guard bytes.count > 1, bytes[0] == 0x08, let version = UInt8(exactly: FormatVersion.wire.number),
        (1..<version).contains(bytes[1])
    else { return bytes }
    return [0x08, version] + bytes.dropFirst(2)
}

private func frames(in bytes: [UInt8]) -> [Frame] {
    var frames: [Frame] = []
    var start = 0
    var position = 0
    while position + frameSeparator.count <= bytes.count {
        if bytes[position..<position + frameSeparator.count].elementsEqual(frameSeparator) {
            frames.append(Frame(Array(bytes[start..<position])))
            position += frameSeparator.count
            start = position
        } else {
            position += 1
        }
    }
    return frames + [Frame(Array(bytes[start...]))]
}
