import Foundation
import TestSupport
import Testing

/// A `kfacctl run` of the large model that has staged its first files, and whose workers stand still.
struct MiddleOfRun {
    let client: RunningProgram
    private let model: LargeModel
    private let state: TemporaryDirectory
    private let temporaries: TemporaryDirectory
    /// Texts that occur only in the command lines of its processes: the state directory and the endpoint.
    private let marks: [String]

    /// How often the run is started when it is faster than this process.
    private static let attemptsMax = 5

    /// Starts a run, waits until the job makes progress, and stops the workers, so that the job cannot end.
    ///
    /// - Throws: ``WaitError`` when the job makes no progress, ``MissedMoment`` when it ends first again and again.
    static func held(workers: Int) async throws -> MiddleOfRun {
        for _ in 0..<attemptsMax {
            let run = try await MiddleOfRun(workers: workers)
            run.signalWorkers(SIGSTOP)
            if run.hasStaged { return run }
            // A stopped worker would never see that its client is gone.
            run.signalWorkers(SIGKILL)
        }
        throw MissedMoment(description: "\(attemptsMax) runs were over before their workers were stopped")
    }

    private init(workers: Int) async throws {
        model = try LargeModel()
        state = try TemporaryDirectory()
        temporaries = try TemporaryDirectory()
        let output = model.directory.appending("out")
        let client = try RunningProgram(
            Programs.client,
            ["run", try model.writeJob(output: output), "--workers", "\(workers)", "--state-directory", state.path],
            name: "run", in: model.directory, environment: ["TMPDIR": temporaries.path])
        try await eventually("staged files", finding: client.logTail) {
            OutputTree.staging(of: "job-1", in: output) != nil || !client.isRunning
        }
        if !client.isRunning, try await client.exitCode() != 0 { throw WaitError(description: client.logTail) }
        let address = try #require(client.errors.split(separator: " ").first { $0.hasPrefix("tcp://127.0.0.1:") })
        self.client = client
        marks = [state.path, String(address.dropLast())]
    }

    /// Whether files are staged and not published yet.
    private var hasStaged: Bool {
        OutputTree.staging(of: "job-1", in: model.directory.appending("out")) != nil
    }

    /// Sends a signal to the workers.
    func signalWorkers(_ signal: Int32) {
        for (number, line) in processes where line.contains(" worker ") { kill(number, signal) }
    }

    /// The command lines of the running client and daemons, by process.
    var processes: [pid_t: String] {
        var found: [pid_t: String] = [:]
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let number = pid_t(name), let data = FileManager.default.contents(atPath: "/proc/\(name)/cmdline")
            else { continue }
            let line = String(decoding: data, as: UTF8.self).replacingOccurrences(of: "\0", with: " ")
            if marks.contains(where: line.contains) { found[number] = line }
        }
        return found
    }

    /// The directory of the states of runs.
    var statePath: String { state.path }

    /// The states in that directory.
    var states: [String] { (try? state.names()) ?? [] }

    /// The files that are left in the output directory, in the state directory and among temporary files.
    var leftovers: [String] {
        let output = model.directory.appending("out")
        return ((try? state.names()) ?? []) + strays
            + (FileManager.default.fileExists(atPath: output) ? [output] + OutputTree.paths(below: output) : [])
    }

    /// The temporary files, which a killed run cannot remove either.
    var strays: [String] { (try? temporaries.names()) ?? [] }
}
