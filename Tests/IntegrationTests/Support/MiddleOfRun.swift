import Foundation
import TestSupport
import Testing

/// A `kfacctl run` of the large model that has staged its first files.
struct MiddleOfRun {
    let client: RunningProgram
    private let model: LargeModel
    private let state: TemporaryDirectory
    /// What the command lines of its processes, and of no others, mention: the state directory, the endpoint.
    private let marks: [String]

    /// Starts the run and waits until the job is under way.
    ///
    /// - Throws: ``WaitError`` when it does not get there.
    init(workers: Int) async throws {
        model = try LargeModel()
        state = try TemporaryDirectory()
        let output = model.directory.appending("out")
        let client = try RunningProgram(
            Programs.client,
            ["run", try model.writeJob(output: output), "--workers", "\(workers)", "--state-directory", state.path],
            name: "run", in: model.directory)
        try await eventually("staged files", within: .seconds(30)) {
            guard client.isRunning else { throw WaitError(description: client.logTail) }
            return FileManager.default.fileExists(atPath: "\(output)/.kfacd-job-1")
        }
        let address = try #require(client.errors.split(separator: " ").first { $0.hasPrefix("tcp://127.0.0.1:") })
        self.client = client
        marks = [state.path, String(address.dropLast())]
    }

    /// The command lines of the client and its daemons, as far as they are there, by process.
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

    /// What is left in the output and the state directory.
    var leftovers: [String] {
        let output = model.directory.appending("out")
        return ((try? state.names()) ?? []) + (FileManager.default.fileExists(atPath: output) ? [output] : [])
    }
}
