import TestSupport
import Testing

/// `kfacd coordinator` for a test.
enum CoordinatorProgram {
    /// Starts a coordinator, through a launcher if given; its state is in `state` below the directory.
    ///
    /// It ends with its input, as that of `kfacctl run`, unless it is to last.
    ///
    /// - Throws: what Foundation throws when the program cannot be started.
    static func launch(
        _ endpoint: String, _ options: [String], name: String, isLasting: Bool = false, launcher: [String] = [],
        environment: [String: String] = [:], in directory: TemporaryDirectory
    ) throws -> RunningProgram {
        let state = directory.appending("state")
        let command =
            launcher + [
                Programs.daemon, "coordinator", "--bind", endpoint, "--state-directory", state,
            ] + (isLasting ? [] : ["--end-with-input"]) + options
        return try RunningProgram(
            command[0], Array(command.dropFirst()), name: name, in: directory, environment: environment)
    }

    /// Waits until a coordinator listens.
    ///
    /// - Returns: Its endpoint.
    /// - Throws: ``WaitError`` when the coordinator ends or does not listen in time.
    static func endpoint(of program: RunningProgram) async throws -> String {
        try await eventually("a coordinator that is ready", finding: program.logTail) {
            guard program.isRunning else { throw WaitError(description: program.logTail) }
            return program.output.hasSuffix("\n")
        }
        let line = program.output.split(separator: "\n")[0]
        try #require(line.hasPrefix("ready tcp://"), "\(line)")
        return String(line.dropFirst("ready ".count))
    }

    /// Starts a coordinator and waits until it listens.
    ///
    /// - Throws: ``WaitError`` when the coordinator does not get ready.
    static func start(
        _ endpoint: String, _ options: [String], name: String, isLasting: Bool = false, launcher: [String] = [],
        environment: [String: String] = [:], in directory: TemporaryDirectory
    ) async throws -> (RunningProgram, endpoint: String) {
        let program = try launch(
            endpoint, options, name: name, isLasting: isLasting, launcher: launcher, environment: environment,
            in: directory)
        return (program, try await Self.endpoint(of: program))
    }
}
