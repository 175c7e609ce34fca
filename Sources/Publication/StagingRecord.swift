import FileAccess
import Identifiers
import Safetensors
import SystemPackage

/// The mark of a staging directory of ours: `.staging.json` in it, of the format `kfacd.staging/1`.
///
/// A directory of somebody else may have a name that begins alike; it has no such file.
enum StagingRecord {
    static let fileName = ".staging.json"
    /// Stands in a staging directory that was made anew, because an earlier one vanished; holds a row's number.
    static let renewal = ".renewed"
    /// Stands in a staging directory whose publication failed for good, when every name had been given back.
    static let kept = ".kept"
    /// Everything in a staging directory that is not published, the journal last.
    static let controlFiles = [renewal, kept, fileName, PublicationJournal.fileName]
    /// What begins the names of files that stood under a name of the job's own and were not as it wrote them.
    static let changedPrefix = ".changed-"

    /// Marks a staging directory, unless it is marked already.
    ///
    /// - Throws: ``PublicationError/file(_:)``.
    static func write(to staging: FilePath) throws(PublicationError) {
        let file = staging.appending(fileName)
        guard FileStatus(of: file) == nil else { return }
        let text =
            JSONValue.object([.init("format", .string(FormatVersion.staging.description))]).text(indent: 2) + "\n"
        try writing { () throws(SafetensorsError) in try WholeFile.write(Array(text.utf8), to: file) }
    }

    /// Notes that a publication failed for good; without the note the same is found out again.
    static func markKept(_ staging: FilePath) {
        try? WholeFile.write([], to: staging.appending(kept))
    }

    /// Whether a directory is a staging directory of ours, of this version or an earlier one.
    static func marks(_ directory: FilePath) -> Bool {
        (try? VersionedFile.read(directory.appending(fileName), format: .staging, byteLimit: 1 << 16)) != nil
    }
}
