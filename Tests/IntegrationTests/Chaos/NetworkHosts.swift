import Foundation
import Testing

/// Hosts and the switch between them, as network namespaces.
///
/// The machine's own network is not touched.
final class NetworkHosts {
    private static let tool = ["/usr/sbin/ip", "/sbin/ip"].first(where: FileManager.default.isExecutableFile) ?? "ip"

    static let reason: Comment = "needs root, ip (iproute2), and a kernel with network namespaces, veth and bridges"

    /// Whether hosts can be made on this machine.
    static let arePossible: Bool = geteuid() == 0 && (try? NetworkHosts(count: 1)) != nil

    static let impairmentReason: Comment =
        """
        needs network namespaces, tc, and a kernel with netem (CONFIG_NET_SCH_NETEM), or nft and a kernel with a token \
        bucket (CONFIG_NET_SCH_TBF) and random numbers for rules (CONFIG_NFT_NUMGEN)
        """

    /// Whether packets can be delayed and lost on this machine.
    static let canBeImpaired: Bool =
        geteuid() == 0 && (try? NetworkHosts(count: 1).impair(delayMilliseconds: 1, lossPercent: 1)) != nil

    private let name = "kfacd-\(UUID().uuidString.prefix(8).lowercased())"
    let count: Int

    private var bridge: String { "\(name)-switch" }

    /// Makes hosts that can reach each other.
    ///
    /// - Throws: ``WaitError`` when the kernel refuses. Everything that was made is removed again.
    init(count: Int) throws {
        self.count = count
        try Self.ip("netns", "add", bridge)
        try Self.ip("-n", bridge, "link", "add", "bridge", "type", "bridge")
        try Self.ip("-n", bridge, "link", "set", "bridge", "up")
        for host in 0..<count {
            let (space, port) = (namespace(host), port(host))
            try Self.ip("netns", "add", space)
            try Self.ip(
                "-n", bridge, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
            try Self.ip("-n", bridge, "link", "set", port, "master", "bridge")
            try Self.ip("-n", bridge, "link", "set", port, "up")
            try Self.ip("-n", space, "link", "set", "lo", "up")
            try Self.ip("-n", space, "address", "add", "\(address(host))/24", "dev", "eth0")
            try Self.ip("-n", space, "link", "set", "eth0", "up")
        }
    }

    deinit {
        for space in (0..<count).map(namespace) + [bridge] { try? Self.ip("netns", "delete", space) }
    }

    private func namespace(_ host: Int) -> String { "\(name)-\(host + 1)" }

    private func port(_ host: Int) -> String { "port\(host + 1)" }

    /// The address of a host.
    func address(_ host: Int) -> String { "10.77.0.\(host + 1)" }

    /// The command that starts a program on a host.
    func launcher(_ host: Int) -> [String] { [Self.tool, "netns", "exec", namespace(host)] }

    // MARK: - The network

    /// Disconnects a host.
    ///
    /// - Throws: ``WaitError``.
    func cut(_ host: Int) throws { try Self.ip("-n", bridge, "link", "set", port(host), "down") }

    /// Connects a host again.
    ///
    /// - Throws: ``WaitError``.
    func join(_ host: Int) throws { try Self.ip("-n", bridge, "link", "set", port(host), "up") }

    /// Delays packets by a varying time, and loses some.
    ///
    /// Without netem the delay is that of a slow line's queue, at most `delayMilliseconds`.
    ///
    /// - Throws: ``WaitError`` when the kernel does not support it.
    func impair(delayMilliseconds: Int, lossPercent: Int) throws {
        for host in 0..<count {
            do {
                try onSwitch(
                    "tc", "qdisc", "add", "dev", port(host), "root", "netem", "delay", "\(delayMilliseconds)ms",
                    "\(delayMilliseconds / 2)ms", "loss", "\(lossPercent)%")
            } catch {
                try slow(host, delayMilliseconds: delayMilliseconds)
                try lose(lossPercent, of: host)
            }
        }
    }

    private func slow(_ host: Int, delayMilliseconds: Int) throws {
        try onSwitch(
            "tc", "qdisc", "add", "dev", port(host), "root", "tbf", "rate", "100mbit", "burst", "64kb", "latency",
            "\(delayMilliseconds)ms")
    }

    /// Drops incoming packets of a port at random.
    private func lose(_ percent: Int, of host: Int) throws {
        let port = port(host)
        try onSwitch("nft", "add", "table", "netdev", "loss")
        try onSwitch(
            "nft", "add", "chain", "netdev", "loss", port,
            "{ type filter hook ingress device \(port) priority 0 ; }")
        try onSwitch("nft", "add", "rule", "netdev", "loss", port, "numgen random mod 100 < \(percent) drop")
    }

    private func onSwitch(_ command: String...) throws {
        try Self.ip(["netns", "exec", bridge] + command)
    }

    private static func ip(_ arguments: String...) throws { try ip(arguments) }

    private static func ip(_ arguments: [String]) throws {
        let process = Process()
        let errors = Pipe()
        process.executableURL = URL(fileURLWithPath: tool)
        process.arguments = arguments
        process.standardError = errors
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let text = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw WaitError(
                description: "ip \(arguments.joined(separator: " ")): \(String(decoding: text, as: UTF8.self))")
        }
    }
}
