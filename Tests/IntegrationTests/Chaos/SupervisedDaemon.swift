import Foundation
import Testing

/// A daemon under a service manager that the test plays.
final class SupervisedDaemon {
    let name: String
    private let launch: (_ name: String) throws -> RunningProgram
    /// Every process of the daemon, latest last.
    private(set) var programs: [RunningProgram] = []
    private(set) var isStopped = false
    /// Whether the process should be running.
    private(set) var isUp = false

    /// A daemon that is not started yet; `launch` gets a name and starts a process.
    init(_ name: String, launch: @escaping (_ name: String) throws -> RunningProgram) {
        (self.name, self.launch) = (name, launch)
    }

    /// The logs of all its processes.
    var log: String { programs.map(\.errors).joined() }

    /// Starts the process, unless it runs.
    ///
    /// - Throws: what Foundation throws when the process cannot be started.
    func start() throws {
        guard !isUp else { return }
        programs.append(try launch("\(name).\(programs.count)"))
        isUp = true
    }

    /// Kills the process.
    ///
    /// - Throws: ``WaitError`` when it does not end, or had already ended.
    func kill() async throws {
        guard isUp, let program = programs.last else { return }
        guard program.isRunning else {
            throw WaitError(description: "\(name) ended by itself\n\(program.logTail)")
        }
        program.send(SIGKILL)
        (isUp, isStopped) = (false, false)
        _ = try await program.exitCode()
    }

    /// Stops the process.
    func stop() {
        isStopped = true
        programs.last?.send(SIGSTOP)
    }

    /// Lets the process continue.
    func resume() {
        isStopped = false
        programs.last?.send(SIGCONT)
    }

    /// Asks the process to end, and requires an orderly end.
    ///
    /// - Throws: ``WaitError`` when it does not end, or what the requirement throws.
    func end() async throws {
        guard isUp, let program = programs.last else { return }
        // Before its first line the process does not handle signals.
        try await eventually("the first words of \(name)", finding: program.logTail) {
            !program.errors.isEmpty || !program.isRunning
        }
        program.send(SIGTERM)
        isUp = false
        let code = try await program.exitCode()
        try #require(code == 0, "\(program.logTail)")
    }
}
