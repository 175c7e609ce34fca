import ArgumentParser
import Console
import Foundation
import Identifiers
import WireProtocol

/// `kfacctl logs`.
struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Prints what the coordinator logged about a job.",
        discussion: """
            The coordinator keeps the latest 500 lines of each of the latest 64 jobs in memory. Earlier lines, and \
            those of before its last start, are in the journal of its machine: journalctl -u kfacd-coordinator.
            """)

    @Argument(help: "The job's name.")
    var job: String

    @Flag(name: .shortAndLong, help: "Go on with new lines until the job has ended.")
    var follow = false

    @Option(name: .shortAndLong, help: "table or json.")
    var output: OutputFormat = .table

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard !follow || output == .table else { throw ValidationError("--follow prints lines; leave json out.") }
    }

    func run() async throws {
        try await connection.withClient { client in
            var (last, all): (UInt64, [JobLogLine]) = (0, [])
            while true {
                let (lines, isComplete) = try await client.log(JobID(rawValue: job), after: last)
                last = lines.last?.number ?? last
                if output == .table { show(lines) } else { all += lines }
                if isComplete || lines.isEmpty && !follow { break }
                if lines.isEmpty { try await Task.sleep(for: .seconds(1)) }
            }
            if output == .json { try printJSON(all) }
        }
    }

    private func printJSON(_ lines: [JobLogLine]) throws {
        try JSONOutput.print(
            "lines", lines.map { ["number": $0.number, "time": $0.time, "level": $0.level, "text": $0.text] })
    }

    private func show(_ lines: [JobLogLine]) {
        for line in lines { Terminal.print("\(line.time) \(line.level) \(line.text)") }
    }
}
