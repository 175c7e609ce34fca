import ArgumentParser
import Console
import Keys
import SystemPackage

/// `kfacctl keygen`.
struct KeygenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen", abstract: "Makes a key pair: NAME.secret for its holder, NAME.public for the others.")

    @Argument(help: "The key's name: 1 to 64 letters, digits, \".\", \"_\" or \"-\".")
    var name: String

    @Option(help: "Where to write both files; the directory must exist.")
    var directory = "."

    @Option(help: "What its holder may do: worker, submitter (and read) or reader; repeatable. A coordinator has none.")
    var role: [KeyRole] = []

    func run() throws {
        do throws(KeysError) {
            let writer = try KeyPairWriter(name: name, in: FilePath(directory))
            _ = try writer.writeFreshPair(roles: role.map(\.role))
            Terminal.print("\(writer.secretFile)\n\(writer.publicFile)")
            Terminal.note(advice(writer))
        } catch {
            throw CommandFailure(.badInput, error.description)
        }
    }

    private func advice(_ writer: KeyPairWriter) -> String {
        guard !role.isEmpty else {
            return """
                \(writer.secretFile) is the coordinator's --secret-key; it stays on its machine and is never copied.
                \(writer.publicFile) is the --server-key of every worker and client; copy it to them.
                For the key of a worker or client, add --role worker, submitter or reader.
                """
        }
        return """
            \(writer.secretFile) is the holder's --secret-key; move it to the holder's machine, mode 0600.
            \(writer.publicFile) goes into the coordinator's --authorized-keys directory; then reload the coordinator.
            """
    }
}

/// A role, as an option.
enum KeyRole: String, ExpressibleByArgument, CaseIterable {
    case worker, submitter, reader

    /// The role itself.
    var role: Role {
        switch self {
        case .worker: .worker
        case .submitter: .submitter
        case .reader: .reader
        }
    }
}
