import FileAccess
import Identifiers
import Lanes
import Publication
import SystemPackage
import WireProtocol
import ZeroMQ

/// Lists and reads the files of finished jobs.
///
/// It has a thread of its own, because disks may be slow and trees large.
///
/// The list that a job published says what the job made. The content of the directory does not.
actor OutputDesk {
    /// The most bytes of a file in one reply.
    private static let chunkBytes: UInt64 = 4 << 20

    private let lane = Lane("kfacd.outputs")
    private let roots: FileRoots

    init(roots: FileRoots) {
        self.roots = roots
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    /// The files that a job published, and the list with their digests.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - coordinator: The coordinator that knows the job by this name.
    ///   - directory: Its output directory.
    /// - Returns: Paths and sizes, the list first.
    /// - Throws: ``OutputDeskError`` when the list, or a file that it names, is missing or has changed;
    ///   `PublicationError` when the list cannot be read.
    func files(of job: JobID, by coordinator: String, in directory: FilePath) throws -> [OutputFile] {
        guard let manifest = try OutputManifest(in: directory),
            let list = Self.status(of: OutputManifest.fileName, in: directory)
        else { throw OutputDeskError.noList(directory) }
        guard manifest.job == job.rawValue, manifest.coordinator == coordinator else {
            throw OutputDeskError.replaced(directory, by: manifest.job, of: manifest.coordinator)
        }
        var missing: [String] = []
        var changed: [String] = []
        for file in manifest.files {
            if let status = Self.status(of: file.path, in: directory) {
                if status.byteCount != file.byteCount { changed.append(file.path) }
            } else {
                missing.append(file.path)
            }
        }
        guard missing.isEmpty, changed.isEmpty else {
            throw OutputDeskError.incomplete(directory, missing: missing, changed: changed)
        }
        return [OutputFile(path: OutputManifest.fileName, byteCount: list.byteCount)]
            + manifest.files.map { OutputFile(path: $0.path, byteCount: $0.byteCount) }
    }

    /// Some bytes of a file below an output directory, or `nil` when there is no such file.
    ///
    /// A client cannot leave the directory, and cannot read what a job is still writing.
    ///
    /// - Throws: `FileRootsError` or `Errno` when the file cannot be read.
    func bytes(
        of path: String, in directory: FilePath, offset: UInt64, byteCount: UInt64
    ) throws -> Frame? {
        guard Self.status(of: path, in: directory) != nil else { return nil }
        let descriptor = try roots.open(directory.pushing(FilePath(path)))
        return try descriptor.closeAfter {
            var bytes = [UInt8](repeating: 0, count: Int(min(byteCount, Self.chunkBytes)))
            let count = try bytes.withUnsafeMutableBytes {
                try descriptor.read(fromAbsoluteOffset: Int64(clamping: offset), into: $0)
            }
            return Frame(Array(bytes.prefix(count)))
        }
    }

    /// The status of a file below real directories; `nil` for anything else.
    private static func status(of path: String, in directory: FilePath) -> FileStatus? {
        guard path == OutputManifest.fileName || OutputManifest.isInside(path) else { return nil }
        var place = directory
        var status: FileStatus?
        let components = FilePath(path).components
        for (index, component) in components.enumerated() {
            place.append(component)
            status = FileStatus(of: place)
            guard status?.kind == (index + 1 < components.count ? .directory : .file) else { return nil }
        }
        return status
    }
}

/// Why the files of a job cannot be given out.
enum OutputDeskError: Error, Equatable, CustomStringConvertible {
    /// The list of the job's files is missing.
    case noList(FilePath)
    /// The files of another job are in the directory.
    case replaced(FilePath, by: String, of: String)
    /// Files are missing or have changed.
    case incomplete(FilePath, missing: [String], changed: [String])

    var description: String {
        switch self {
        case .noList(let directory):
            "the outputs are gone: \(directory) holds no \(OutputManifest.fileName), which lists what the job wrote. They "
                + "were removed, or written by an earlier version, which made no list. Run the job again."
        case .replaced(let directory, let job, let coordinator):
            "the outputs are gone: \(directory) holds those of \(job) of the coordinator \(coordinator). Run the job again "
                + "with another output directory."
        case .incomplete(let directory, let missing, let changed):
            [(missing, "missing"), (changed, "changed since the job wrote them")].filter { !$0.0.isEmpty }
                .map { names, what in "\(Self.list(names)) in \(directory): \(what)." }.joined(separator: " ")
                + " Run the job again."
        }
    }

    private static func list(_ names: [String]) -> String {
        let shown = names.prefix(5).joined(separator: ", ")
        return names.count > 5 ? "\(shown) and \(names.count - 5) more" : shown
    }
}
