import Foundation
import Identifiers
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Programs with different versions of the protocol report this to each other.
    @Suite struct VersionTests {
        /// A version of the protocol that no program here has.
        private static let otherNumber = FormatVersion.wire.number + 1
        /// An envelope of that version without a body: field 1, a varint.
        private static let otherVersion: [UInt8] = [0x08, UInt8(otherNumber)]

        @Test func `a coordinator refuses a peer of another version and serves the others`() async throws {
            try await Cluster.with { cluster in
                let port = try #require(cluster.endpoint.split(separator: ":").last.flatMap { UInt16($0) })
                let peer = try RawPeer(connectingTo: port)
                try peer.send(Self.otherVersion)
                let answer = String(decoding: try peer.receive(), as: UTF8.self)
                #expect(answer.contains("protocol version \(Self.otherNumber)"), "\(answer)")
                #expect(answer.contains("version \(FormatVersion.wire.number)"), "\(answer)")
                #expect(try await cluster.workerStatuses().isEmpty)
            }
        }

        @Test func `a coordinator survives what is no message`() async throws {
            try await Cluster.with { cluster in
                let port = try #require(cluster.endpoint.split(separator: ":").last.flatMap { UInt16($0) })
                let peer = try RawPeer(connectingTo: port)
                var random = SplitMix64(seed: 3)
                for length in 0..<64 {
                    let wasSent = peer.offer((0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) })
                    // The third message makes the coordinator hang up, perhaps before the rest arrives.
                    try #require(wasSent || length >= 3)
                }
                #expect(try await cluster.workerStatuses().isEmpty)
            }
        }

        @Test(arguments: ["client", "worker"])
        func `a program tells that the coordinator is of another version`(kind: String) async throws {
            let listener = try RawPeer.Listener()
            let directory = try TemporaryDirectory()
            let endpoint = "tcp://127.0.0.1:\(listener.port)"
            let program =
                kind == "client"
                ? try RunningProgram(
                    Programs.client, ["jobs", "--coordinator", endpoint], name: kind, in: directory)
                : try RunningProgram(
                    Programs.daemon, ["worker", "--coordinator", endpoint, "--end-with-input"], name: kind,
                    in: directory)
            let peer = try listener.accept()
            _ = try peer.receive()
            try peer.send(Self.otherVersion)
            let code = try await program.exitCode()
            #expect(code == (kind == "client" ? 2 : 1), "\(program.logTail)")
            let (other, own) = (Self.otherNumber, FormatVersion.wire.number)
            let sentence = "protocol version \(other), this program speaks version \(own)"
            #expect(program.errors.contains(sentence), "\(program.logTail)")
        }
    }
}
