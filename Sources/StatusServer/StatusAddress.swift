/// The address of the status pages; it is numeric, so that no name server decides who can read them.
public struct StatusAddress: Equatable, Sendable, CustomStringConvertible {
    /// The address, without brackets.
    public let host: String
    /// The port; 0 lets the kernel choose.
    public let port: Int

    /// Reads `ADDRESS:PORT`, with brackets around an IPv6 address.
    ///
    /// - Throws: ``StatusServerError/malformedAddress(_:)``.
    public init(_ text: String) throws(StatusServerError) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
            text[text.index(after: colon)...].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { throw .malformedAddress(text) }
        let host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            self.host = String(host.dropFirst().dropLast())
            guard Self.isIPv6(self.host) else { throw .malformedAddress(text) }
        } else {
            self.host = String(host)
            guard Self.isIPv4(self.host) else { throw .malformedAddress(text) }
        }
        self.port = Int(port)
    }

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// The address as text.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether only this machine can reach the address.
    public var isLoopback: Bool { host.hasPrefix("127.") || host == "::1" }

    private static func isIPv4(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { !$0.hasPrefix("+") && !$0.hasPrefix("-") && UInt8($0) != nil }
    }

    /// Whether the text has only characters of an IPv6 address; the kernel checks the rest.
    private static func isIPv6(_ text: String) -> Bool {
        text.contains(":") && text.utf8.allSatisfy { ":.%0123456789abcdefABCDEF".utf8.contains($0) }
    }
}
