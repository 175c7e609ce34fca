import ArgumentParser
import Console
import ControlGroups
import Telemetry

/// The threads without which a daemon stands still.
enum ThreadNeeds {
    /// Those of the runtime, of sockets, status pages, signals and disks, the lanes aside.
    private static let besidesLanes = 24

    /// Makes sure that they can be had.
    ///
    /// - Throws: `ExitCode` 1 behind a message when not.
    static func require(lanes: Int) throws {
        guard let problem = ThreadAllowance.problem(needing: lanes + besidesLanes) else { return }
        Terminal.note(JournalStream.errorText("Error: \(problem)"))
        throw ExitCode(1)
    }
}
