import Foundation
import TestSupport
import Testing

/// A coordinator that other machines reach, with keys made by `kfacctl keygen`.
final class GuardedCluster {
    let directory: TemporaryDirectory
    private(set) var endpoint = ""
    private var daemons: [RunningProgram] = []

    /// An IPv4 address of this machine that is not loopback, or `nil` when it has none.
    static let address: String? = {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return nil }
        defer { freeifaddrs(first) }
        for entry in sequence(first: first, next: { $0?.pointee.ifa_next }) {
            guard let entry, let address = entry.pointee.ifa_addr, Int32(address.pointee.sa_family) == AF_INET,
                entry.pointee.ifa_flags & UInt32(IFF_LOOPBACK) == 0
            else { continue }
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let size = socklen_t(MemoryLayout<sockaddr_in>.size)
            guard getnameinfo(address, size, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 else {
                continue
            }
            return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        return nil
    }()

    /// Makes keys: the coordinator's, and one for each name.
    ///
    /// All keys are in `keys`, and the authorized ones are also in `authorized`.
    ///
    /// - Parameter holders: The names of keys, and the roles of the authorized ones.
    /// - Throws: what the requirement throws.
    init(holders: [String: [String]]) async throws {
        directory = try TemporaryDirectory()
        for name in ["keys", "authorized"] {
            try FileManager.default.createDirectory(
                atPath: directory.appending(name), withIntermediateDirectories: false)
        }
        try await makeKey("coordinator", roles: [])
        for (name, roles) in holders {
            try await makeKey(name, roles: roles)
            if !roles.isEmpty { try authorize(name) }
        }
    }

    private func makeKey(_ name: String, roles: [String]) async throws {
        let result = try await Client.run(
            ["keygen", name, "--directory", directory.appending("keys")] + roles.flatMap { ["--role", $0] },
            in: directory)
        try #require(result.exitCode == 0, "\(result.errors)")
    }

    /// Adds a public file to the authorized keys.
    ///
    /// - Throws: what Foundation throws.
    func authorize(_ name: String) throws {
        try FileManager.default.copyItem(
            atPath: directory.appending("keys/\(name).public"), toPath: directory.appending("authorized/\(name).public")
        )
    }

    func secret(_ name: String) -> String { directory.appending("keys/\(name).secret") }

    var serverKey: String { directory.appending("keys/coordinator.public") }

    // MARK: - Daemons

    /// Starts the coordinator on an address of this machine.
    ///
    /// - Throws: ``WaitError`` when the coordinator does not get ready.
    @discardableResult
    func startCoordinator(roots: [String]) async throws -> RunningProgram {
        let address = try #require(Self.address)
        let program = try RunningProgram(
            Programs.daemon,
            [
                "coordinator", "--bind", "tcp://\(address):0", "--state-directory", directory.appending("state"),
                "--heartbeat", "200", "--worker-timeout", "15000", "--end-with-input", "--secret-key",
                secret("coordinator"), "--authorized-keys", directory.appending("authorized"),
            ] + roots.flatMap { ["--root", $0] }, name: "coordinator", in: directory)
        daemons.append(program)
        try await eventually("a coordinator that is ready", finding: program.logTail) {
            guard program.isRunning else { throw WaitError(description: program.logTail) }
            return program.output.hasSuffix("\n")
        }
        endpoint = String(program.output.split(separator: "\n")[0].dropFirst("ready ".count))
        try #require(endpoint.hasPrefix("tcp://\(address):"))
        return program
    }

    /// Starts a worker with one lane and a key.
    ///
    /// - Throws: what Foundation throws when the worker cannot be started.
    @discardableResult
    func startWorker(key: String, options: [String] = []) throws -> RunningProgram {
        let program = try RunningProgram(
            Programs.daemon,
            [
                "worker", "--coordinator", endpoint, "--name", key, "--lanes", "1", "--memory", "1024",
                "--end-with-input", "--server-key", serverKey, "--secret-key", secret(key),
            ] + options, name: "worker-\(key)-\(daemons.count)", in: directory)
        daemons.append(program)
        return program
    }

    /// The end of every daemon's log.
    var logs: String { daemons.map(\.logTail).joined(separator: "\n\n") }

    // MARK: - Questions

    /// Runs `kfacctl` with a key.
    ///
    /// - Throws: ``WaitError`` when the command does not end in time.
    func client(_ key: String, _ arguments: String...) async throws -> CommandResult {
        try await Client.run(
            arguments, in: directory,
            environment: [
                "KFACD_COORDINATOR": endpoint, "KFACD_SERVER_KEY": serverKey, "KFACD_SECRET_KEY": secret(key),
            ])
    }

    /// The names of the connected workers, as a key's holder sees them.
    ///
    /// - Throws: what the requirement throws.
    func workers(as key: String) async throws -> [String] {
        let result = try await client(key, "workers", "--output", "json")
        try #require(result.exitCode == 0, "\(result.errors)")
        return try #require(try result.json["workers"] as? [[String: Any]]).compactMap { $0["worker"] as? String }
    }
}
