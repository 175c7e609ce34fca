import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Coordinators that accept connections and do not answer; no command waits longer than its limit.
    @Suite struct SilentCoordinatorTests {
        private static let commands: [[String]] = [
            ["plan", "job.yaml"], ["submit", "job.yaml"], ["submit", "job.yaml", "--watch"], ["jobs"],
            ["status", "job-1"], ["watch", "job-1"], ["fetch", "job-1", "fetched"], ["workers"], ["cancel", "job-1"],
            ["drain", "worker"],
        ]

        @Test(arguments: [false, true]) func `every command ends at its timeout, and says so`(shakesHands: Bool)
            async throws
        {
            let directory = try TemporaryDirectory()
            try directory.write(Array("merge_method: kfac\n".utf8), to: "job.yaml")
            let listener = try RawPeer.Listener()
            let peers = SilentPeers(listener)
            if shakesHands { peers.shakeHands() }
            defer { withExtendedLifetime(peers) {} }
            for command in Self.commands {
                let result = try await Client.run(
                    command + ["--timeout", "1", "--coordinator", "tcp://127.0.0.1:\(listener.port)"], in: directory)
                #expect(result.exitCode == 3, "\(command): \(result.errors)")
                #expect(result.errors.contains("within 1.0 seconds"), "\(command): \(result.errors)")
            }
        }
    }
}

/// Completes the handshake with every peer, on a thread of its own, and sends nothing more.
private final class SilentPeers: @unchecked Sendable {
    // Unchecked because only the thread uses the listener and the peers once it runs.
    private let listener: RawPeer.Listener
    private var peers: [RawPeer] = []

    init(_ listener: RawPeer.Listener) { self.listener = listener }

    func shakeHands() {
        Thread.detachNewThread { [weak self] in
            // No peer is awaited once the test is over. A client that gave up is no peer any more.
            while let self {
                guard self.listener.isAsked(withinMilliseconds: 100) else { continue }
                if let peer = try? self.listener.accept() { self.peers.append(peer) }
            }
        }
    }
}
