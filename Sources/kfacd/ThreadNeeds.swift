import ArgumentParser
import Console
import ControlGroups
import Telemetry

/// The threads that a daemon needs to work.
enum ThreadNeeds {
    /// The threads besides the lanes: for the runtime, sockets, status pages, signals and disks.
    private static let besidesLanes = 24

    /// Checks that the process can have these threads.
    ///
    /// - Throws: `ExitCode` 1, after a message, when it cannot.
    static func require(lanes: Int) throws {
        guard let problem = ThreadAllowance.problem(needing: lanes + besidesLanes) else { return }
        Terminal.note(JournalStream.errorText("Error: \(problem)"))
        throw ExitCode(1)
    }
}
