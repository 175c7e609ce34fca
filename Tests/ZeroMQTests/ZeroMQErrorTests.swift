import Testing
import ZeroMQ

struct ZeroMQErrorTests {
    @Test(arguments: [
        (
            ZeroMQError.callFailed(call: "zmq_bind(tcp://10.0.0.5:7070)", errorNumber: 98),
            "zmq_bind(tcp://10.0.0.5:7070): Address already in use"
        ),
        (
            .invalidEndpoint("tcp://head", problem: "has no port"),
            "endpoint \"tcp://head\": has no port; expected tcp://HOST:PORT, ipc://PATH or inproc://NAME."
        ),
        (
            .endpointNotConnectable("tcp://*:1"),
            "endpoint \"tcp://*:1\": cannot be connected to; expected a definite host and a port from 1 to 65535."
        ),
        (
            .invalidCurveKey(.wrongLength(found: 3)), "CURVE key: has 3 characters; expected 40 characters of Z85."
        ),
        (
            .invalidCurveKey(.invalidCharacter(position: 0)),
            "CURVE key: character 1 is not of the Z85 alphabet; expected 40 characters of Z85."
        ),
        (
            .invalidCurveKey(.groupOutOfRange(position: 35)),
            "CURVE key: characters 36 to 40 encode no 32-bit number; expected 40 characters of Z85."
        ),
        (
            .invalidRoutingIdentity(byteCount: 256),
            "routing identity of 256 bytes: cannot be used; expected 1 to 255 bytes, the first not zero."
        ),
        (
            .allocationFailed(byteCount: -1),
            "payload buffer: -1 bytes could not be allocated; expected a size that memory can hold."
        ),
        (.emptyMessage, "message: has no frames; expected at least 1."),
        (.tooManyFrames(count: 9, limit: 8), "message: has 9 frames; expected at most 8."),
        (.messageTooLarge(byteCount: 11, limit: 10), "message: has 11 bytes; expected at most 10."),
        (
            .missingRoutingIdentity,
            "message: names no peer; expected the routing identity of the peer a router shall send it to."
        ),
        (.unexpectedRoutingIdentity, "message: names a peer; expected none, since a dealer has only one."),
        (.closed, "message channel: is closed; expected an open one."),
        (.cancelled, "message channel: the waiting task was cancelled; nothing was sent or taken."),
    ])
    func `every error says where, what and what was expected`(error: ZeroMQError, sentence: String) {
        #expect(error.description == sentence)
    }
}
