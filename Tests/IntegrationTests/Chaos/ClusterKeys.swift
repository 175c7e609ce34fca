import Foundation
import TestSupport
import Testing

/// The keys of a cluster with daemons on several hosts, made by `kfacctl keygen`.
struct ClusterKeys {
    private let directory: TemporaryDirectory

    /// Makes keys for a coordinator, its workers and its clients.
    ///
    /// - Throws: ``WaitError`` and the requirement when a key cannot be made.
    init() async throws {
        directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: peers, withIntermediateDirectories: false)
        try await make("coordinator", in: directory.path)
        for role in ["worker", "submitter"] { try await make(role, in: peers, "--role", role) }
    }

    private func make(_ name: String, in path: String, _ options: String...) async throws {
        let result = try await Client.run(["keygen", name, "--directory", path] + options, in: directory)
        try #require(result.exitCode == 0, "\(result.errors)")
    }

    /// The directory of the keys of workers and clients.
    private var peers: String { directory.appending("peers") }

    /// A coordinator's options.
    var coordinatorOptions: [String] {
        ["--secret-key", directory.appending("coordinator.secret"), "--authorized-keys", peers]
    }

    /// A worker's options.
    var workerOptions: [String] {
        [
            "--secret-key", "\(peers)/worker.secret", "--server-key",
            directory.appending("coordinator.public"),
        ]
    }

    /// A client's settings.
    var clientEnvironment: [String: String] {
        [
            "KFACD_SECRET_KEY": "\(peers)/submitter.secret",
            "KFACD_SERVER_KEY": directory.appending("coordinator.public"),
        ]
    }
}
