import FileAccess
import Foundation
import Identifiers
import JobPlan
import Safetensors
import SystemPackage

/// A job's output directory.
///
/// Files are written to a staging directory within it and moved to their names at the end, so that a job that fails
/// leaves nothing, and a reader never sees half of one.
struct OutputDirectory: Sendable {
    /// The directory that the job file names.
    let path: FilePath
    /// Where files are written until the job is done; the same after a restart.
    let staging: FilePath
    /// Where it may lie: links may have changed since the job was taken in.
    private let roots: FileRoots

    static let stagingPrefix = ".kfacd-"
    /// Stands in the staging directory once the earlier job's files are gone.
    private static let marker = ".publishing"
    /// Stands in a staging directory that was made anew, because an earlier one vanished; holds a row's number.
    private static let renewal = ".renewed"
    /// What a job may write: the only names that are ever replaced.
    private static let entries = ["factors", "regularizer", "inverses", "merged", "report.json"]

    init(path: FilePath, job: JobID, roots: FileRoots) {
        self.roots = roots
        self.path = path
        staging = path.appending(Self.stagingPrefix + job.rawValue)
    }

    /// What forbids to write here, before anything is done.
    ///
    /// - Parameters:
    ///   - path: The output directory.
    ///   - written: Where the job file names it.
    ///   - overwrites: Whether its files may be replaced.
    /// - Returns: A problem, or `nil`.
    static func problem(at path: FilePath, written: Located<String>, overwrites: Bool) -> JobProblem? {
        guard DirectoryTree.exists(path) else {
            guard let obstacle = DirectoryTree.obstacle(toMaking: path) else { return nil }
            return JobProblem(
                at: written.location,
                "the output directory \(path) cannot be made: \(obstacle) is no directory that can be written to. "
                    + "Choose another.")
        }
        guard let names = try? WholeFile.names(in: path) else {
            return JobProblem(
                at: written.location, "the output \(path) exists and is no directory that can be read. Choose another.")
        }
        let present = names.filter { !$0.hasPrefix(stagingPrefix) }
        guard !present.isEmpty, !overwrites else { return nil }
        return JobProblem(
            at: written.location,
            "the output directory \(path) is not empty (it holds \"\(present.sorted()[0])\""
                + "\(present.count > 1 ? " and \(present.count - 1) more" : "")). Choose another, or allow it with "
                + "--overwrite.")
    }

    /// Makes a subdirectory of the staging directory, with all that lies above it; what a crash left half-written there
    /// is removed, since it would be published with the rest.
    ///
    /// - Throws: `SafetensorsError` when it cannot be made or read, `FileRootsError` when it would lie elsewhere.
    func stage(_ components: String...) throws -> FilePath {
        var directory = staging
        for component in components { directory = directory.appending(component) }
        try roots.requireInside(directory)
        try WholeFile.createDirectory(at: directory)
        try roots.requireInside(directory)
        try WholeFile.removeStalePartials(in: directory)
        return directory
    }

    /// Whether files have begun to be moved to their names.
    var isPublishing: Bool { DirectoryTree.exists(staging.appending(Self.marker)) }

    /// Whether there is a staging directory.
    var isStaged: Bool { DirectoryTree.exists(staging) }

    /// The rows of the journal up to this one speak of files that are not staged any more.
    ///
    /// Zero unless ``renew(after:)`` made the staging directory, `nil` when there is none.
    var lastUnusableRow: Int64? {
        guard isStaged else { return nil }
        guard let text = try? String(contentsOfFile: staging.appending(Self.renewal).string, encoding: .utf8) else {
            return 0
        }
        return Int64(text) ?? 0
    }

    /// Makes the staging directory anew and notes which rows came before, for the next restart: by then some of the
    /// files may be there again, and others not yet.
    ///
    /// - Throws: As ``stage(_:)``.
    func renew(after row: Int64) throws {
        try WholeFile.write(Array("\(row)".utf8), to: try stage().appending(Self.renewal))
    }

    /// Moves the staged files to their names; what an earlier job wrote there is removed first.
    ///
    /// After a crash it goes on where it stopped: once the marker stands, what is not staged any more was moved. The
    /// marker stays until ``removeStaging()``, when it is durable that the job has ended.
    ///
    /// - Throws: `CocoaError` or `SafetensorsError` when a file cannot be moved; the others stay staged.
    func publish() throws {
        guard DirectoryTree.exists(staging) else { return }
        try roots.requireInside(staging)
        let marker = staging.appending(Self.marker)
        try WholeFile.removeStalePartials(in: staging)
        if !DirectoryTree.exists(marker) {
            for name in Self.entries { try DirectoryTree.remove(path.appending(name)) }
            try WholeFile.write([], to: marker)
        }
        let staged = try WholeFile.names(in: staging).filter { $0 != Self.marker && $0 != Self.renewal }
        for name in staged.sorted(by: Self.publishedLast) {
            try DirectoryTree.move(staging.appending(name), to: path.appending(name))
        }
        try DirectoryTree.synchronize(path)
    }

    /// Removes the staging directory of a job whose files are published.
    func removeStaging() {
        try? DirectoryTree.remove(staging)
    }

    /// The report comes last: a directory with a report is complete.
    private static func publishedLast(_ left: String, _ right: String) -> Bool {
        (left == "report.json" ? 1 : 0, left) < (right == "report.json" ? 1 : 0, right)
    }

    /// Removes what was staged; the directory too, when nothing else is in it.
    func discard() {
        try? DirectoryTree.remove(staging)
        if let names = try? WholeFile.names(in: path), names.isEmpty { try? DirectoryTree.remove(path) }
    }
}
