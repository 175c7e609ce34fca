import Foundation
import Testing

/// A daemon under a service manager of the test's own.
final class SupervisedDaemon {
    let name: String
    private let launch: (_ name: String) throws -> RunningProgram
    /// Every process that it had, the last one last.
    private(set) var programs: [RunningProgram] = []
    private(set) var isStopped = false
    /// Whether the process is meant to be there.
    private(set) var isUp = false

    /// A daemon that is not started yet; `launch` starts its process, whose name is given.
    init(_ name: String, launch: @escaping (_ name: String) throws -> RunningProgram) {
        (self.name, self.launch) = (name, launch)
    }

    /// The log of all its processes.
    var log: String { programs.map(\.errors).joined() }

    /// Starts the process, unless it is there.
    ///
    /// - Throws: what Foundation throws when it cannot be started.
    func start() throws {
        guard !isUp else { return }
        programs.append(try launch("\(name).\(programs.count)"))
        isUp = true
    }

    /// Ends the process at once.
    ///
    /// - Throws: ``WaitError`` when it does not end, or had ended by itself.
    func kill() async throws {
        guard isUp, let program = programs.last else { return }
        guard program.isRunning else {
            throw WaitError(description: "\(name) ended by itself\n\(program.logTail)")
        }
        program.send(SIGKILL)
        (isUp, isStopped) = (false, false)
        _ = try await program.exitCode(within: .seconds(10))
    }

    /// Stops the process where it is.
    func stop() {
        isStopped = true
        programs.last?.send(SIGSTOP)
    }

    /// Lets the process go on.
    func resume() {
        isStopped = false
        programs.last?.send(SIGCONT)
    }

    /// Asks the process to end, and requires that it does so in order.
    ///
    /// - Throws: ``WaitError`` when it does not end, and the requirement.
    func end() async throws {
        guard isUp, let program = programs.last else { return }
        // Before it says anything it does not listen to signals.
        try await eventually("the first words of \(name)", within: .seconds(20)) {
            !program.errors.isEmpty || !program.isRunning
        }
        program.send(SIGTERM)
        isUp = false
        let code = try await program.exitCode(within: .seconds(20))
        try #require(code == 0, "\(program.logTail)")
    }
}
