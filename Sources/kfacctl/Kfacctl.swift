import ArgumentParser
import Console
import ControlGroups
import FileAccess
import LinearAlgebra
import Telemetry

/// The client: it runs jobs on this machine or on a cluster, and shows their results.
@main
struct Kfacctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kfacctl",
        abstract: "Merges fine-tuned models under Kronecker-factored curvature, on this machine or on a cluster.",
        version: Build.version,
        subcommands: [
            RunCommand.self, MergeCommand.self, PlanCommand.self, SubmitCommand.self, JobsCommand.self,
            StatusCommand.self, WatchCommand.self, LogsCommand.self, CancelCommand.self, PublishCommand.self,
            WorkersCommand.self, DrainCommand.self, InterferenceCommand.self, AdviseCommand.self,
            PushCommand.self, RunsCommand.self, FetchCommand.self, InspectCommand.self, CompareCommand.self,
            KeygenCommand.self, HelpCommand.self,
        ])

    static func main() async {
        ProgramStart.prepare()
        BLASEnvironment.endThreads()
        DescriptorLimit.raise()
        if let problem = ProcessNeeds.command.problem() {
            Terminal.error(problem)
            exit(withError: ExitCode(CommandExit.failed.rawValue))
        }
        SignalWatch.begin()
        var isOutputAside = false
        do {
            if let problem = DescriptorLimit.problem { throw CommandFailure(.badInput, problem) }
            // The parser would call a misspelt command an unexpected argument, and suggest nothing.
            if let name = CommandLine.arguments.dropFirst().first, !name.hasPrefix("-") {
                try HelpCommand.command(named: name)
            }
            var command = try parseAsRoot()
            // A finished job counts as success even if nobody reads the summary.
            isOutputAside = command is RunCommand || command is MergeCommand
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            Terminal.error(failure.message)
            exit(withError: ExitCode(failure.code.rawValue))
        } catch {
            end(error)
        }
        let code = Terminal.exitCode(isOutputAside: isOutputAside)
        if code != 0 { exit(withError: ExitCode(code)) }
    }

    /// Ends the program for an error that is not a command's failure.
    private static func end(_ error: any Error) -> Never {
        switch exitCode(for: error) {
        case .validationFailure:
            // DESIGN section 1: exit code 2 is bad usage. The parser would exit with 64.
            Terminal.error(fullMessage(for: error))
            exit(withError: ExitCode(CommandExit.badInput.rawValue))
        case .failure where !(error is ExitCode):
            Terminal.error(SystemWords.text(of: error))
            exit(withError: ExitCode(CommandExit.failed.rawValue))
        default: exit(withError: error)
        }
    }
}
