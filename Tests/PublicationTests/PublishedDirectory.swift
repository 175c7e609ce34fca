import FileAccess
import Foundation
import SystemPackage
import TestSupport

@testable import Publication

/// An output directory below a temporary one, and jobs that publish there.
struct PublishedDirectory {
    let directory: TemporaryDirectory
    let path: FilePath

    init() throws {
        directory = try TemporaryDirectory()
        path = FilePath(directory.path).appending("out")
    }

    /// A job's view of the output.
    func output(
        _ job: String = "job-1", of coordinator: String = "c1", state: String = "", overwrites: Bool = false
    ) -> OutputDirectory {
        OutputDirectory(
            path: path, job: job, owner: ClaimOwner(coordinator: coordinator, stateDirectory: state),
            overwrites: overwrites, roots: .unlimited)
    }

    /// Stages files: paths within the output, and their texts.
    func stage(_ files: [String: String], _ output: OutputDirectory) throws {
        for (path, text) in files {
            let path = FilePath(path)
            let place = try output.stage(at: path.removingLastComponent())
            try Data(text.utf8).write(
                to: URL(fileURLWithPath: place.appending(path.lastComponent?.string ?? "").string))
        }
    }

    /// A whole job: stages, publishes, and cleans up.
    @discardableResult
    func run(_ files: [String: String], _ output: OutputDirectory) throws -> [FilePath] {
        try output.claim()
        try stage(files, output)
        try output.publish()
        return output.removeStaging()
    }

    /// Writes a file that belongs to no job.
    func write(_ text: String, to name: String) throws {
        let file = path.pushing(FilePath(name))
        try FileManager.default.createDirectory(
            atPath: file.removingLastComponent().string, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file.string))
    }

    /// All files below the output with their texts, without control files.
    var contents: [String: String] {
        var found: [String: String] = [:]
        for (path, status) in Directories.entries(below: path) where status.kind == .file {
            guard !path.hasPrefix(".kfacd-") else { continue }
            found[path] = try? String(contentsOfFile: self.path.pushing(FilePath(path)).string, encoding: .utf8)
        }
        return found
    }

    /// The names in the output, including hidden ones.
    var names: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path.string)) ?? []).sorted()
    }
}

/// Two jobs whose files differ in content and in names.
enum TwoJobs {
    static let old = [
        "merged/model-1.safetensors": "old 1", "merged/model-2.safetensors": "old 2",
        "factors/a/factors.safetensors": "f",
        "report.json": "old report",
    ]
    static let new = [
        "merged/model.safetensors": "new", "merged/1_Pooling/config.json": "{}",
        "inverses/all/inverses.safetensors": "i",
        "report.json": "new report",
    ]
}
