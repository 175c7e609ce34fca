import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// `kfacctl keygen`, as a user types it.
    @Suite struct KeygenTests {
        private let directory: TemporaryDirectory

        init() throws { directory = try TemporaryDirectory() }

        private func keygen(_ arguments: String...) async throws -> CommandResult {
            try await Client.run(["keygen"] + arguments + ["--directory", directory.path], in: directory)
        }

        @Test func `a coordinator's key comes with what to do with its files`() async throws {
            let result = try await keygen("coordinator")
            let (secret, open) = (directory.appending("coordinator.secret"), directory.appending("coordinator.public"))
            #expect(result.exitCode == 0)
            #expect(result.output == "\(secret)\n\(open)\n")
            #expect(
                result.errors == """
                    \(secret) is the coordinator's --secret-key; it stays on its machine and is never copied.
                    \(open) is the --server-key of every worker and client; copy it to them.
                    For the key of a worker or client, add --role worker, submitter or reader.

                    """)
            let attributes = try FileManager.default.attributesOfItem(atPath: secret)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }

        @Test func `a peer's key says its role`() async throws {
            let result = try await keygen("ci", "--role", "reader")
            let (secret, open) = (directory.appending("ci.secret"), directory.appending("ci.public"))
            #expect(result.exitCode == 0)
            #expect(
                result.errors == """
                    \(secret) is the holder's --secret-key; move it to the holder's machine, mode 0600.
                    \(open) goes into the coordinator's --authorized-keys directory; then reload the coordinator.

                    """)
            #expect(String(decoding: try directory.read("ci.public"), as: UTF8.self).hasSuffix("\nrole reader\n"))
        }

        @Test func `a key is never overwritten, and a name is no path`() async throws {
            #expect(try await keygen("ci").exitCode == 0)
            let before = try directory.read("ci.secret")
            let again = try await keygen("ci")
            #expect(again.exitCode == 2)
            #expect(
                again.errors
                    == "error: \(directory.appending("ci.secret")): exists already; a key is never overwritten. Choose "
                    + "another name or directory.\n")
            #expect(try directory.read("ci.secret") == before)
            let outside = try await keygen("../ci")
            #expect(outside.exitCode == 2)
            #expect(
                outside.errors
                    == "error: key name \"../ci\": cannot name a file; expected 1 to 64 letters, digits, \".\", \"_\" or "
                    + "\"-\", the first a letter or digit.\n")
        }
    }
}
