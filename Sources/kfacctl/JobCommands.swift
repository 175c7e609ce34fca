import ArgumentParser
import Console
import Foundation
import Identifiers
import JobPlan
import WireProtocol

/// `kfacctl submit`.
struct SubmitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit", abstract: "Checks a job against its files and queues it; prints the job's name.")

    @Argument(help: "The job file; the coordinator must see it and its files under the same paths.")
    var job: String

    @Option(help: "The output directory, in place of the job file's own.")
    var output: String?

    @Flag(help: "Follow the job to its end.")
    var watch = false

    @Flag(help: "Replace the files of an earlier job in the output directory.")
    var overwrite = false

    @Option(help: "Seconds that the checked job may wait to be recorded while the coordinator's disk is full.")
    var patience = 600

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (1...31_536_000).contains(patience) else {
            throw ValidationError("--patience must lie in 1...31536000, a year.")
        }
    }

    func run() async throws {
        let submission = try Submission(file: job, overwrites: overwrite, output: output)
        try await connection.withClient { client in
            let (id, isRunning) = try await client.submit(submission, patience: .seconds(patience))
            if isRunning { Terminal.note("the same job is running already") }
            Terminal.print("\(id)")
            guard watch else { return }
            try await ProgressDisplay(client: client, isQuiet: false).follow(id).requireSuccess()
        }
    }
}

/// `kfacctl watch`.
struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Follows a job to its end; the exit code tells how it ended.")

    @Argument(help: "The job's name.")
    var job: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            try await ProgressDisplay(client: client, isQuiet: false).follow(JobID(rawValue: job)).requireSuccess()
        }
    }
}

/// `kfacctl cancel`.
struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Ends a job; nothing of it is published.")

    @Argument(help: "The job's name.")
    var job: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            guard case .accepted(_, let wasRunning, _) = try await client.ask(.cancel(JobID(rawValue: job))).reply
            else {
                return
            }
            Terminal.note(wasRunning ? "\(job) is cancelled" : "\(job) had ended already")
        }
    }
}

/// `kfacctl jobs`.
struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "jobs", abstract: "Lists the coordinator's jobs.")

    @Option(name: .shortAndLong, help: "table or json.")
    var output: OutputFormat = .table

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            guard case .jobs(let jobs) = try await client.ask(.jobs).reply else { return }
            try print(jobs, as: output)
        }
    }
}

/// `kfacctl status`.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Shows how far a job has come.")

    @Argument(help: "The job's name.")
    var job: String

    @Option(name: .shortAndLong, help: "table or json.")
    var output: OutputFormat = .table

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            try print([try await client.status(JobID(rawValue: job))], as: output)
        }
    }
}

/// Prints jobs.
private func print(_ jobs: [JobReport], as format: OutputFormat) throws {
    guard format == .table else {
        try JSONOutput.print(
            "jobs",
            jobs.map { job in
                var item: [String: Any] = [
                    "job": job.job.rawValue, "state": job.state.rawValue, "fraction": job.fraction,
                    "finished_units": job.finishedUnits, "total_units": job.totalUnits, "spec": job.specPath,
                    "output": job.output, "message": job.message, "activity": job.activity,
                    "submitted_at": job.submittedAt,
                ]
                item["elapsed_seconds"] = job.elapsedSeconds
                item["left_seconds"] = job.leftSeconds
                return item
            })
        return
    }
    var table = TextTable(["JOB", "STATE", "DONE", "UNITS", "OUTPUT", "MESSAGE"])
    for job in jobs {
        table.add([
            job.job.rawValue, job.state.rawValue, "\(Int(job.fraction * 100)) %",
            "\(job.finishedUnits)/\(job.totalUnits)", job.output, job.message,
        ])
    }
    Terminal.print(table.text)
}

/// Versioned JSON on standard output.
enum JSONOutput {
    /// Prints a list, and other members beside it.
    static func print(_ kind: String, _ items: [[String: Any]], beside others: [String: Any] = [:]) throws {
        let object: [String: Any] = others.merging(["apiVersion": "kfacd/1", kind: items]) { $1 }
        let data = try JSONSerialization.data(
            withJSONObject: finite(object), options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
        Terminal.print(json: String(decoding: data, as: UTF8.self))
    }

    /// The value with null for every number that JSON cannot write.
    private static func finite(_ value: Any) -> Any {
        switch value {
        case let object as [String: Any]: object.mapValues(finite)
        case let list as [Any]: list.map(finite)
        case let number as Double where !number.isFinite: NSNull()
        default: value
        }
    }
}
