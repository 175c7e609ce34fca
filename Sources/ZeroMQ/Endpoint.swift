internal import Glibc

/// A checked address of a socket: `tcp://HOST:PORT`, `ipc://PATH` or `inproc://NAME`.
///
/// Source: zmq_tcp(7), zmq_ipc(7), zmq_inproc(7). HOST is a name, an IPv4 address, an IPv6 address in brackets or `*`.
/// PORT is 0 to 65535 or `*`. A bound channel tells the port that the kernel chose.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// The transport.
    public enum Transport: String, Hashable, Sendable {
        /// TCP over IPv4 or IPv6.
        case tcp
        /// A Unix domain socket.
        case ipc
        /// Memory of this process, within one context.
        case inproc
    }

    /// The endpoint as libzmq writes it.
    public let description: String

    /// The transport.
    public let transport: Transport

    /// The host of a TCP endpoint, without brackets; nil for the others.
    public let host: String?

    /// The port of a TCP endpoint, 0 for `*`; nil for the others.
    public let port: UInt16?

    /// Reads and checks an endpoint.
    ///
    /// - Throws: ``ZeroMQError/invalidEndpoint(_:problem:)`` with the text and what is wrong in it.
    public init(_ text: String) throws(ZeroMQError) {
        guard let separator = text.firstRange(ofText: "://") else {
            throw .invalidEndpoint(text, problem: "has no \"://\"")
        }
        guard let transport = Transport(rawValue: String(text[..<separator.lowerBound])) else {
            throw .invalidEndpoint(text, problem: "the transport is unknown")
        }
        let address = text[separator.upperBound...]
        guard !address.isEmpty else { throw .invalidEndpoint(text, problem: "the address is empty") }
        // libzmq reads C strings: it would silently ignore the text after a NUL.
        guard !address.utf8.contains(0) else { throw .invalidEndpoint(text, problem: "the address holds a NUL") }
        switch transport {
        case .tcp:
            (host, port) = try Self.readTCPAddress(address, of: text)
        case .ipc:
            // sockaddr_un has 108 bytes, the last of them for the terminating NUL.
            guard address.utf8.count <= 107 else {
                throw .invalidEndpoint(text, problem: "the path has \(address.utf8.count) bytes, 107 are possible")
            }
            (host, port) = (nil, nil)
        case .inproc:
            (host, port) = (nil, nil)
        }
        self.transport = transport
        description = text
    }

    /// Whether only processes of this machine can reach the endpoint: ipc, inproc, and TCP on a loopback address.
    ///
    /// Interface names, `*` and abbreviated addresses count as reachable from elsewhere.
    public var isLocalOnly: Bool {
        guard transport == .tcp, let host else { return true }
        if host == "localhost" { return true }
        if let octets = Self.octetsOfIPv4(host) { return octets[0] == 127 }
        guard let octets = Self.octetsOfIPv6(host) else { return false }
        let loopback: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        let mappedPrefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127]
        return octets == loopback || octets.starts(with: mappedPrefix)
    }

    /// Whether the host is written as an IPv6 address.
    public var isIPv6: Bool {
        host?.utf8.contains(UInt8(ascii: ":")) ?? false
    }

    /// Whether the endpoint names exactly one peer; connecting needs this.
    var isConnectable: Bool {
        switch transport {
        case .tcp: host != "*" && port != 0
        case .ipc: !description.hasSuffix("://*")
        case .inproc: true
        }
    }

    // MARK: - TCP addresses

    private static func readTCPAddress(
        _ address: Substring,
        of text: String
    ) throws(ZeroMQError) -> (String, UInt16) {
        guard let colon = address.lastIndex(of: ":") else { throw .invalidEndpoint(text, problem: "has no port") }
        var host = address[..<colon]
        let portText = address[address.index(after: colon)...]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            let numeric = host.prefix { $0 != "%" }
            guard octetsOfIPv6(String(numeric)) != nil, host.utf8.allSatisfy(isHostByte(orColon: true)) else {
                throw .invalidEndpoint(text, problem: "the host is not an IPv6 address")
            }
        } else {
            guard host == "*" || !host.isEmpty && host.utf8.allSatisfy(isHostByte(orColon: false)) else {
                throw .invalidEndpoint(text, problem: "the host is not a name, an address or *")
            }
        }
        if portText == "*" { return (String(host), 0) }
        // UInt16("+1") is 1, and libzmq reads numbers differently. So only digits are accepted.
        guard portText.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(portText) else {
            throw .invalidEndpoint(text, problem: "the port is not a number from 0 to 65535 or *")
        }
        return (String(host), port)
    }

    private static func isHostByte(orColon: Bool) -> (UInt8) -> Bool {
        { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            case UInt8(ascii: ":"), UInt8(ascii: "%"):
                orColon
            default:
                false
            }
        }
    }

    private static func octetsOfIPv4(_ host: String) -> [UInt8]? {
        octets(of: host, family: AF_INET, count: 4)
    }

    private static func octetsOfIPv6(_ host: String) -> [UInt8]? {
        octets(of: host, family: AF_INET6, count: 16)
    }

    private static func octets(of host: String, family: Int32, count: Int) -> [UInt8]? {
        var octets = [UInt8](repeating: 0, count: count)
        let result = unsafe octets.withUnsafeMutableBytes { unsafe inet_pton(family, host, $0.baseAddress) }
        return result == 1 ? octets : nil
    }
}

extension String {
    /// The first range that holds `text`; Foundation's `range(of:)` without Foundation.
    fileprivate func firstRange(ofText text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
