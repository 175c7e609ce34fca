public import FileAccess
public import Identifiers
import SystemPackage

/// Why a run, or a file of it, is not taken, given or removed.
///
/// Each description is a sentence in this order: the subject, what is wrong, what was expected, what to do.
public enum RunStoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The name cannot be a run's.
    case invalidName(RunName)
    /// The rank or the sequence is too large.
    case invalidPlace(RunPlace)
    /// Another file stands in the place; nothing replaces it.
    case occupied(RunPlace, by: BlobReference, sender: String)
    /// All runs together would have too many bytes.
    case overQuota(RunPlace, needed: UInt64, used: UInt64, limit: UInt64)
    /// The disk has less room than the file needs.
    case noRoom(RunPlace, needed: UInt64, free: UInt64)
    /// There are too many runs.
    case tooManyRuns(limit: Int)
    /// The run has too many files.
    case tooManyFiles(RunName, limit: Int)
    /// All runs together have too many files.
    case tooManyFilesOfAll(limit: Int)
    /// The bytes that arrived are not those that were announced; they were removed.
    case otherBytes(RunPlace, found: BlobDigest, expected: BlobDigest)
    /// The whole file is no file of this place; it was removed.
    case refused(RunPlace, reason: String)
    /// The run was removed while a file of it arrived.
    case removedMeanwhile(RunPlace)
    /// Rows are being summed for the place.
    case streaming(RunPlace, sender: String)
    /// Nothing was pushed under this name.
    case unknown(RunName, known: [RunName])
    /// No file of the run is whole yet.
    case nothingWhole(RunName)
    /// The files that a job uses are not all there any more.
    case incomplete(RunName, missing: [String])
    /// Jobs use the run.
    case inUse(RunName)
    /// The file system failed.
    case file(FileError)

    /// Whether the content or the name is wrong, so that another attempt has the same end.
    public var isPermanent: Bool {
        switch self {
        case .invalidName, .invalidPlace, .occupied, .refused, .unknown, .nothingWhole, .incomplete, .inUse: true
        case .overQuota, .noRoom, .tooManyRuns, .tooManyFiles, .tooManyFilesOfAll, .otherBytes, .removedMeanwhile,
            .streaming, .file:
            false
        }
    }

    /// What the sentence is about: a run, or a part of it.
    public var subject: String {
        switch self {
        case .invalidName(let run), .tooManyFiles(let run, _), .unknown(let run, _), .nothingWhole(let run),
            .incomplete(let run, _), .inUse(let run):
            Self.words(run)
        case .invalidPlace(let place), .occupied(let place, _, _), .overQuota(let place, _, _, _),
            .noRoom(let place, _, _), .otherBytes(let place, _, _), .refused(let place, _),
            .removedMeanwhile(let place),
            .streaming(let place, _):
            "\(place)"
        case .tooManyRuns, .tooManyFilesOfAll, .file: "the coordinator's runs"
        }
    }

    /// The sentence without its subject.
    public var problem: String {
        switch self {
        case .invalidName: "cannot name a run; expected \(RunName.requirement). Write the files with another \"run\"."
        case .invalidPlace:
            "the number is too large; expected a rank and a sequence below 2^31. Correct the file's metadata."
        case .occupied(_, let standing, let sender):
            "other bytes stand there: \(standing.byteCount) bytes with the SHA-256 \(standing.digest), from \(sender). A "
                + "pushed file is never replaced: push under another run name, or remove the run with \"kfacctl runs "
                + "--remove\"."
        case .overQuota(_, let needed, let used, let limit):
            "the file has \(needed) bytes, and all runs together have \(used) of at most \(limit). Remove a "
                + "run with \"kfacctl runs --remove\", wait until one expires, or raise \"run-quota\" of the coordinator."
        case .noRoom(_, let needed, let free):
            "the file needs \(needed) more bytes, and the coordinator's disk has \(free) free. Make room there, or remove a "
                + "run with \"kfacctl runs --remove\"."
        case .tooManyRuns(let limit):
            "there are \(limit) runs already, which is the most. Remove one with \"kfacctl runs --remove\"."
        case .tooManyFiles(_, let limit):
            "has \(limit) files already, which is the most. Let a rank sum more rows before it writes a file."
        case .tooManyFilesOfAll(let limit):
            "there are \(limit) files already, which is the most. Remove a run with \"kfacctl runs --remove\"."
        case .otherBytes(_, let found, let expected):
            "the bytes that arrived have the SHA-256 \(found); expected \(expected). They were removed: push the "
                + "file again, and do not change it meanwhile."
        case .refused(_, let reason): "\(reason) Nothing was kept."
        case .streaming(_, let sender):
            "\(sender) sends rows for it at the moment. Wait until that has ended."
        case .removedMeanwhile: "the run was removed meanwhile. Push its files again."
        case .unknown(_, let known):
            "nothing was pushed under this name. Known runs: \(known.isEmpty ? "none" : known.map(\.rawValue).listed())."
        case .nothingWhole: "no file of it is whole yet. Wait for its pushes, or push it."
        case .incomplete(_, let missing):
            "files that the job uses are gone: \(missing.listed(limit: 3)). Push them again, and submit the job again."
        case .inUse: "a job uses it. Wait for the job, or cancel it."
        case .file(let error): "\(error)"
        }
    }

    /// The whole sentence.
    public var description: String { "\(subject): \(problem)" }

    private static func words(_ run: RunName) -> String { "run \"\(run.rawValue.excerpt)\"" }
}
