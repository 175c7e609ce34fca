import ArgumentParser
import Console
import ControlGroups
import FileAccess
import Foundation
import JobPlan
import WireProtocol

/// `kfacctl plan`.
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Says what a job would take: units, multiply-adds, memory, bytes, time. Changes nothing.")

    @Argument(help: "The job file.")
    var job: String

    @Option(
        help: """
            Ask this coordinator, which knows earlier results and its workers' memory (KFACD_COORDINATOR); by default \
            no coordinator is needed.
            """)
    var coordinator: String?

    @Option(help: ArgumentHelp(RequestPatience.help))
    var timeout: UInt32?

    @OptionGroup(title: "Keys") var keys: ClientKeyOptions

    @Option(name: .shortAndLong, help: "table or json.")
    var output: OutputFormat = .table

    @Flag(help: "Plan as if files of an earlier job in the output directory may be replaced.")
    var overwrite = false

    @Flag(help: "Measure this machine anew for the prediction of time, which takes seconds.")
    var measure = false

    func run() async throws {
        let submission = try Submission(file: job, overwrites: overwrite)
        let patience = RequestPatience(seconds: timeout)
        if let endpoint = coordinator ?? ProcessInfo.processInfo.environment["KFACD_COORDINATOR"] {
            let plan = try await answer(to: submission, of: endpoint, patience)
            Terminal.note(plan.notices)
            try show(plan, prediction: nil)
        } else {
            let job = try await JobCheck.plan(submission, within: patience.admission)
            let plan = PlanSummary(of: job.plan)
            Terminal.note(plan.notices)
            let share = MachineShare(workers: nil, processors: MachineCapacity.current().processors)
            try show(
                plan,
                prediction: await JobPrediction.made(
                    of: job, lanes: share.lanes, measuring: measure ? .anew : .whenUnknown))
        }
    }

    private func answer(
        to submission: Submission, of endpoint: String, _ patience: RequestPatience
    ) async throws -> PlanSummary {
        let client = try await CoordinatorClient(endpoint: endpoint, keys: keys, patience: patience)
        guard case .plan(let plan) = try await client.ask(.plan(submission)).reply else {
            throw CommandFailure(.failed, "the coordinator did not answer a request for a plan with a plan")
        }
        await client.close()
        return plan
    }

    /// Prints a plan.
    ///
    /// - Parameters:
    ///   - plan: The plan.
    ///   - prediction: Time and room on this machine; `nil` for a plan of a coordinator, whose workers run on machines
    ///     of unknown rates.
    /// - Throws: What the encoder of JSON throws.
    private func show(_ plan: PlanSummary, prediction: JobPrediction?) throws {
        guard output == .table else {
            try JSONOutput.print(
                "stages",
                plan.stages.map { stage in
                    [
                        "stage": stage.name, "units": stage.units, "multiply_adds": stage.multiplyAdds,
                        "input_bytes": stage.inputBytes, "output_bytes": stage.outputBytes,
                        "memory_bytes_max": stage.memoryBytesMax, "known_units": stage.knownUnits,
                    ]
                }, beside: prediction?.members ?? [:])
            return
        }
        PlanTable.print(plan)
        Terminal.print(
            prediction.map { $0.lines.joined(separator: "\n") }
                ?? "time: not predicted, because the rates of the cluster's machines are not known here")
    }
}
