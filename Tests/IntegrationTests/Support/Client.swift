import Foundation
import TestSupport
import Testing

/// The result of a command that ended.
struct CommandResult {
    let exitCode: Int32
    let output: String
    let errors: String

    /// Standard output as a JSON object.
    ///
    /// - Throws: what Foundation or the requirement throws when it is not JSON.
    var json: [String: Any] {
        get throws { try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]) }
    }
}

/// `kfacctl`, as a user runs it.
enum Client {
    /// Runs a command to its end, through a launcher with its arguments if given.
    ///
    /// - Throws: ``WaitError`` when the command does not end in time. It is then killed.
    static func run(
        _ arguments: [String], in directory: TemporaryDirectory, environment: [String: String] = [:],
        launcher: [String] = []
    ) async throws -> CommandResult {
        let name = "client-\(UUID().uuidString)"
        let command = launcher + [Programs.client] + arguments
        let program = try RunningProgram(
            command[0], Array(command.dropFirst()), name: name, in: directory, environment: environment)
        let code = try await program.exitCode()
        let result = CommandResult(exitCode: code, output: program.output, errors: program.errors)
        for end in ["stdout", "stderr"] {
            try? FileManager.default.removeItem(atPath: directory.appending("\(name).\(end)"))
        }
        return result
    }

    /// Runs a job on this machine, and requires its success.
    ///
    /// - Throws: what ``run(_:in:environment:launcher:)`` throws, or what the requirement throws.
    @discardableResult
    static func runJob(
        _ path: String, workers: Int = 1, in directory: TemporaryDirectory, options: [String] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> CommandResult {
        let arguments = ["run", path, "--workers", "\(workers)", "--state-directory", directory.path] + options
        let result = try await run(arguments, in: directory)
        try #require(result.exitCode == 0, "\(result.errors)", sourceLocation: sourceLocation)
        return result
    }
}
