import ArgumentParser
import ControlGroups
import Foundation
import Laboratory
import SystemPackage

/// A command of the lab: something that runs for a while and may be interrupted.
protocol Experiment: ParsableCommand, Sendable {
    /// Runs it; ends soon when its task is cancelled.
    func perform() async throws
}

/// What every command needs: where the data is and how many threads compute.
struct LabOptions: ParsableArguments {
    @Option(help: "The directory with base.safetensors, heads.safetensors and data.safetensors.")
    var data = "Examples/eight-tasks"

    @Option(
        help:
            "Threads that compute; by default one for each core that the process may use. Results do not depend on it.")
    var lanes: Int?

    /// Steps of a training: enough for any schedule, and few enough to count.
    static let stepRange = 1...1_000_000

    func validate() throws {
        if let lanes, !(1...256).contains(lanes) { throw ValidationError("--lanes must lie in 1...256.") }
    }

    /// The directory, checked for the file that is delivered compressed.
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

    /// Passes on as many threads as asked for.
    func team(for base: BaseModel) -> PassTeam {
        PassTeam(base.layout, laneCount: lanes ?? MachineCapacity.current().processors)
    }
}

extension LaboratoryError {
    /// Whether the user gave something wrong, and nothing was begun.
    var isBadInput: Bool {
        switch self {
        case .diverged, .programFailed, .interrupted, .invalidReport: false
        default: true
        }
    }
}
