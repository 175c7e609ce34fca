import FileAccess
import Identifiers
import JSONText
import SystemPackage

/// The mark of our staging directories: the file `.staging.json`, in the format `kfacd.staging/1`.
///
/// Another directory may have a name with the same prefix, but it has no such file.
enum StagingRecord {
    static let fileName = ".staging.json"
    /// Marks a staging directory that was made again because an earlier one vanished; holds a row number.
    static let renewal = ".renewed"
    /// Marks a staging directory whose publication failed finally, after all names were reverted.
    static let kept = ".kept"
    /// The files of a staging directory that are not published; the journal is last.
    static let controlFiles = [renewal, kept, fileName, PublicationJournal.fileName]
    /// The prefix of files that had a name of the job and were changed.
    static let changedPrefix = ".changed-"

    /// Marks a staging directory, unless it is already marked.
    ///
    /// - Throws: ``PublicationError/file(_:)``.
    static func write(to staging: FilePath) throws(PublicationError) {
        let file = staging.appending(fileName)
        guard FileStatus(of: file) == nil else { return }
        let text =
            JSONValue.object([.init("format", .string(FormatVersion.staging.description))]).text(indent: 2) + "\n"
        try writing { () throws(FileError) in try WholeFile.write(Array(text.utf8), to: file) }
    }

    /// Records that a publication failed finally.
    ///
    /// Without this mark the next run finds out the same.
    static func markKept(_ staging: FilePath) {
        try? WholeFile.write([], to: staging.appending(kept))
    }

    /// Whether a directory is one of our staging directories, from this version or an earlier one.
    static func marks(_ directory: FilePath) -> Bool {
        (try? VersionedFile.read(directory.appending(fileName), format: .staging, byteLimit: 1 << 16)) != nil
    }
}
