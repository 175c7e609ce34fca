import ArgumentParser
import Console
import Identifiers
import WireProtocol

/// `kfacctl runs`.
struct RunsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs", abstract: "Lists the runs whose partial sums were pushed, or removes one.")

    @Option(help: "Remove this run and its files; a run that a job uses stays.")
    var remove: String?

    @Option(name: .shortAndLong, help: "table or json.")
    var output: OutputFormat = .table

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        if let remove {
            let removed = try await connection.withClient { try await $0.runs(.removeRun(RunName(rawValue: remove))) }
            for run in removed.runs {
                Terminal.note(
                    "run \"\(run.run.rawValue.excerpt)\" was removed: \(run.files + run.unfinishedFiles) files, "
                        + Quantity.bytes(run.arrivedBytes))
            }
            return
        }
        let list = try await connection.withClient { try await $0.runs(.runs) }
        guard output == .table else {
            try JSONOutput.print("runs", list.runs.map(Self.json))
            return
        }
        var table = TextTable(["RUN", "STATE", "RANKS", "FILES", "BYTES", "FROM", "AGE", "LAST ACTIVITY", "USED BY"])
        for run in list.runs {
            table.add([
                run.run.rawValue, Self.state(of: run), "\(run.ranks)", "\(run.files)", Self.bytes(of: run),
                run.senders.listed(limit: 3), Quantity.time(run.ageSeconds), Quantity.time(run.idleSeconds),
                run.jobs.isEmpty ? "–" : run.jobs.map(\.rawValue).listed(limit: 3),
            ])
        }
        Terminal.print(table.text)
        Terminal.print("runs take \(Quantity.bytes(list.byteCount)) of at most \(Quantity.bytes(list.byteCountMax))")
    }

    private static func state(of run: RunReport) -> String {
        var reasons: [String] = []
        if run.unfinishedFiles > 0 { reasons.append("\(run.unfinishedFiles) unfinished") }
        if run.missing > 0 { reasons.append("\(run.missing) missing") }
        return reasons.isEmpty ? "complete" : reasons.joined(separator: ", ")
    }

    private static func bytes(of run: RunReport) -> String {
        let arrived = Quantity.bytes(run.arrivedBytes)
        return run.arrivedBytes == run.announcedBytes ? arrived : "\(arrived) of \(Quantity.bytes(run.announcedBytes))"
    }

    private static func json(_ run: RunReport) -> [String: Any] {
        [
            "run": run.run.rawValue, "from": run.senders, "ranks": run.ranks, "files": run.files,
            "unfinished_files": run.unfinishedFiles, "missing": run.missing, "complete": run.isComplete,
            "arrived_bytes": run.arrivedBytes, "announced_bytes": run.announcedBytes, "age_seconds": run.ageSeconds,
            "idle_seconds": run.idleSeconds, "jobs": run.jobs.map(\.rawValue),
        ]
    }
}

extension CoordinatorClient {
    /// The runs that the coordinator has, or that it removed.
    fileprivate func runs(_ request: ClientRequest) async throws -> RunList {
        guard case .runs(let list) = try await ask(request).reply else {
            throw CommandFailure(.failed, "the coordinator did not answer a request about runs with runs")
        }
        return list
    }
}
