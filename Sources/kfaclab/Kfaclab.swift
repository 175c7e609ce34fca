import ArgumentParser
import Console
import ControlGroups
import FileAccess
import Laboratory
import LinearAlgebra
import Safetensors
import StudyReport
import Telemetry

/// The lab: it makes the paper's tables from images on one machine, and the daemon computes the factors.
@main
struct Kfaclab: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kfaclab",
        abstract: "Fine-tunes, merges and measures a small vision transformer on eight tasks, with and without TAK.",
        version: Build.version,
        subcommands: [CaptureCommand.self, FinetuneCommand.self, EvaluateCommand.self, ReproduceCommand.self])

    static func main() async {
        ProgramStart.prepare()
        DescriptorLimit.raise()
        if let problem = ProcessNeeds.command.problem() { end(.failed, problem) }
        SignalWatch.begin()
        // Passes run at the same time on threads of their own.
        BLASEnvironment.setThreadCount(1)
        do {
            var command = try parseAsRoot()
            if let problem = DescriptorLimit.problem { end(.badInput, problem) }
            guard let experiment = command as? any Experiment else {
                try command.run()
                return endOfOutput()
            }
            let finished: Void? = try await SignalWatch.interruptible { try await experiment.perform() }
            if finished == nil {
                end(.interrupted, command is ReproduceCommand ? "interrupted; run it again to go on." : "interrupted.")
            }
            endOfOutput()
        } catch let error as LaboratoryError {
            end(error.isBadInput ? .badInput : .failed, "\(error)")
        } catch let error as StudyReportError {
            end(.failed, "\(error)")
        } catch let error as SafetensorsError {
            end(.failed, "\(error)")
        } catch {
            switch exitCode(for: error) {
            case .validationFailure: end(.badInput, fullMessage(for: error))
            case .failure where !(error is ExitCode): end(.failed, SystemWords.text(of: error))
            default: exit(withError: error)
            }
        }
    }

    private static func endOfOutput() {
        let code = Terminal.exitCode()
        if code != 0 { exit(withError: ExitCode(code)) }
    }

    private static func end(_ code: CommandExit, _ message: String) -> Never {
        Terminal.error(message)
        exit(withError: ExitCode(code.rawValue))
    }
}
