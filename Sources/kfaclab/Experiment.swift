import ArgumentParser
import ControlGroups
import Foundation
import Laboratory
import SystemPackage

/// A command of the lab; it runs for a while and may be interrupted.
protocol Experiment: ParsableCommand, Sendable {
    /// Runs the command; it ends soon when its task is cancelled.
    func perform() async throws
}

/// The common options of all commands: the data directory and the number of threads.
struct LabOptions: ParsableArguments {
    @Option(help: "The directory with base.safetensors, heads.safetensors and data.safetensors.")
    var data = "Examples/eight-tasks"

    @Option(
        help:
            "Threads that compute; by default one for each core that the process may use. Results do not depend on it.")
    var lanes: Int?

    /// The allowed steps of a training: enough for any schedule, and few enough for a counter.
    static let stepRange = 1...1_000_000

    func validate() throws {
        if let lanes, !(1...256).contains(lanes) { throw ValidationError("--lanes must lie in 1...256.") }
    }

    /// The data directory; checks that its compressed file was unpacked.
    ///
    /// - Throws: `LaboratoryError.usage` when it was not unpacked.
    func directory() throws(LaboratoryError) -> FilePath {
        let directory = FilePath(data)
        let images = directory.appending("data.safetensors").string
        guard FileManager.default.fileExists(atPath: images) else {
            let isPacked = FileManager.default.fileExists(atPath: images + ".xz")
            throw .usage(
                isPacked
                    ? "\(images) is not unpacked yet. Run \(directory.appending("unpack"))."
                    : "\(images): there is no such file. Give the data's directory with --data.")
        }
        return directory
    }

    /// Makes a team with the chosen number of threads.
    func team(for base: BaseModel) -> PassTeam {
        PassTeam(base.layout, laneCount: lanes ?? MachineCapacity.current().processors)
    }
}

extension LaboratoryError {
    /// Whether the user's input was wrong and nothing has begun.
    var isBadInput: Bool {
        switch self {
        case .diverged, .programFailed, .interrupted, .invalidReport: false
        default: true
        }
    }
}
