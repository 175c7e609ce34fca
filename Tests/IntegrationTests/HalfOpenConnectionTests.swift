import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The measured cost of peers without a key, at a coordinator that other machines reach.
    @Suite(
        .enabled(if: GuardedCluster.address != nil, "this machine has no address but loopback"),
        .timeLimit(.minutes(5)))
    struct HalfOpenConnectionTests {
        /// The allowed cost: Sources/README.md, Bounds.
        private static let memoryMax = 256 << 20
        /// A greeting of ZMTP 3.1 with the mechanism CURVE.
        private static let greeting: [UInt8] =
            [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 1] + Array("CURVE".utf8) + [UInt8](repeating: 0, count: 47)

        /// A command that announces this number of bytes, and most of these bytes.
        private static func command(announcing byteCount: Int, sending sentCount: Int) -> [UInt8] {
            [6] + (0..<8).reversed().map { UInt8(byteCount >> (8 * $0) & 0xff) }
                + [UInt8](repeating: 7, count: sentCount)
        }

        @Test(arguments: [300, 2000])
        func `connections without a key cost bounded memory, whatever they send, and keep no key out`(count: Int)
            async throws
        {
            let cluster = try await GuardedCluster(holders: ["ci": ["reader"]])
            let coordinator = try await cluster.startCoordinator(roots: [cluster.directory.path])
            #expect(try await cluster.client("ci", "jobs").exitCode == 0)
            let idle = try coordinator.residentBytes
            let address = try #require(GuardedCluster.address)
            let port = try #require(cluster.endpoint.split(separator: ":").last.flatMap { UInt16($0) })
            var connections: [HalfOpenConnection] = []
            for round in 0..<3 {
                for number in 0..<count {
                    let connection = HalfOpenConnection(to: address, port)
                    switch (number + round) % 4 {
                    case 0: connection.offer(Self.greeting + Self.command(announcing: 16 << 20, sending: 1 << 20))
                    case 1: connection.offer(Self.greeting + Self.command(announcing: 65_536, sending: 65_000))
                    case 2: connection.offer(Self.greeting + Self.command(announcing: 4000, sending: 3000))
                    default: connection.offer(Array(Self.greeting.prefix(number % 64)))
                    }
                    if connections.count < count {
                        connections.append(connection)
                    } else {
                        connections[number] = connection
                    }
                }
                let answer = try await cluster.client("ci", "jobs")
                #expect(answer.exitCode == 0, "\(answer.errors)")
            }
            let peak = try coordinator.peakResidentBytes
            #expect(peak - idle <= Self.memoryMax, "\((peak - idle) >> 20) MiB above \(idle >> 20) MiB")
            try await eventually("a line in the log") {
                coordinator.errors.contains("connections ended before they sent a message")
            }
            #expect(coordinator.isRunning)
            withExtendedLifetime(connections) {}
        }
    }
}

/// A connection that never finishes its handshake.
private final class HalfOpenConnection {
    private let descriptor: Int32

    /// Connects, and ignores whether that succeeds.
    init(to address: String, _ port: UInt16) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var peer = sockaddr_in(
            sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian, sin_addr: in_addr(),
            sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
        inet_pton(AF_INET, address, &peer.sin_addr)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafePointer(to: &peer) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
    }

    deinit { close(descriptor) }

    /// Sends the bytes that the kernel accepts at once.
    func offer(_ bytes: [UInt8]) {
        _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }
}

extension RunningProgram {
    /// The current memory of the process.
    fileprivate var residentBytes: Int { get throws { try statusBytes("VmRSS:") } }

    /// The largest memory that the process has had.
    fileprivate var peakResidentBytes: Int { get throws { try statusBytes("VmHWM:") } }

    private func statusBytes(_ key: String) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(number)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix(key) })
        return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) }) << 10
    }
}
