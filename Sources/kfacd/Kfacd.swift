import ArgumentParser
import Console
import ControlGroups
import FileAccess
import Telemetry

/// The daemon: a coordinator or a worker.
@main
struct Kfacd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kfacd",
        abstract: "Computes Kronecker factors of fine-tuned models on a cluster, and merges the models.",
        version: Build.version, subcommands: [CoordinatorCommand.self, WorkerCommand.self])

    static func main() async {
        ProgramStart.prepare()
        await exiting { try parseAsRoot() }
    }
}

extension Kfacd {
    /// Runs a command; bad usage and failures end the process with the exit codes of kfacd(8).
    static func exiting(_ parse: () throws -> any ParsableCommand) async {
        DescriptorLimit.raise()
        do {
            try require(.command)
            if let problem = DescriptorLimit.problem { throw UsageFailure(problem) }
            var command = try parse()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as UsageFailure {
            tell("\(failure)")
            exit(withError: ExitCode(2))
        } catch {
            switch exitCode(for: error) {
            case .validationFailure:
                // DESIGN section 1: exit code 2 is bad usage. The parser would exit with 64.
                tell(fullMessage(for: error))
                exit(withError: ExitCode(2))
            case .failure where !(error is ExitCode):
                tell(SystemWords.text(of: error))
                exit(withError: ExitCode(1))
            default: exit(withError: error)
            }
        }
    }

    /// Checks that the limits of the process allow the work of the daemon.
    ///
    /// - Throws: `ExitCode` 1, after a message, if a limit is too small.
    static func require(_ needs: ProcessNeeds) throws {
        guard let problem = needs.problem() else { return }
        tell(problem)
        throw ExitCode(1)
    }

    /// Tells the person, or the journal, what is wrong.
    private static func tell(_ problem: String) {
        Terminal.note(JournalStream.errorText(Terminal.errorLines(problem).joined(separator: "\n")))
    }
}
