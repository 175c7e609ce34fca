import Testing
import ZeroMQ

struct EndpointTests {
    @Test(arguments: [
        ("tcp://127.0.0.1:7070", "127.0.0.1", 7070), ("tcp://*:0", "*", 0), ("tcp://head.cluster:*", "head.cluster", 0),
        ("tcp://[2001:db8::1]:65535", "2001:db8::1", 65535), ("tcp://[fe80::1%eth0]:1", "fe80::1%eth0", 1),
    ])
    func `a TCP endpoint has a host and a port`(text: String, host: String, port: UInt16) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint.transport == .tcp)
        #expect(endpoint.host == host)
        #expect(endpoint.port == port)
        #expect(endpoint.description == text)
    }

    @Test(arguments: [
        "tcp://127.0.0.1:1", "tcp://127.9.9.9:1", "tcp://localhost:1", "tcp://[::1]:1", "tcp://[::ffff:127.0.0.1]:1",
        "ipc:///run/kfacd/socket", "ipc://@abstract", "inproc://name",
    ])
    func `loopback, ipc and inproc are local only`(text: String) throws {
        #expect(try Endpoint(text).isLocalOnly)
    }

    @Test(arguments: [
        "tcp://*:1", "tcp://0.0.0.0:1", "tcp://10.0.0.5:1", "tcp://head:1", "tcp://127.0.0.1.example.org:1",
        "tcp://127.1:1", "tcp://[::]:1", "tcp://[::2]:1", "tcp://[::ffff:10.0.0.5]:1", "tcp://lo:1",
    ])
    func `what another machine might reach is not local only`(text: String) throws {
        #expect(try !Endpoint(text).isLocalOnly)
    }

    @Test(arguments: [
        ("", "has no \"://\""), ("tcp:/x:1", "has no \"://\""), ("udp://x:1", "the transport is unknown"),
        ("tcp://", "the address is empty"), ("tcp://head", "has no port"),
        ("tcp://:1", "the host is not a name, an address or *"),
        ("tcp://a;b:1", "the host is not a name, an address or *"),
        ("tcp://::1:1", "the host is not a name, an address or *"),
        ("tcp://[::x]:1", "the host is not an IPv6 address"),
        ("tcp://head:", "the port is not a number from 0 to 65535 or *"),
        ("tcp://head:+1", "the port is not a number from 0 to 65535 or *"),
        ("tcp://head:65536", "the port is not a number from 0 to 65535 or *"),
        ("inproc://a\0b", "the address holds a NUL"),
    ])
    func `a wrong endpoint is refused with what is wrong`(text: String, problem: String) {
        #expect(throws: ZeroMQError.invalidEndpoint(text, problem: problem)) { try Endpoint(text) }
    }

    @Test func `a path too long for a socket address is refused`() throws {
        let path = String(repeating: "x", count: 107)
        #expect(try Endpoint("ipc://" + path).transport == .ipc)
        #expect(throws: ZeroMQError.self) { try Endpoint("ipc://" + path + "x") }
    }
}
