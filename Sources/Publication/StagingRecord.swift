import Safetensors
import SystemPackage

/// The mark of a staging directory of ours: `.staging.json` in it, of the format `kfacd.staging/1`.
///
/// A directory of somebody else may have a name that begins alike; it has no such file.
enum StagingRecord {
    static let fileName = ".staging.json"
    static let format = "kfacd.staging/1"
    /// Stands in a staging directory that was made anew, because an earlier one vanished; holds a row's number.
    static let renewal = ".renewed"
    /// Everything in a staging directory that is not published, the journal last.
    static let controlFiles = [renewal, fileName, PublicationJournal.fileName]

    /// Marks a staging directory, unless it is marked already.
    ///
    /// - Throws: ``PublicationError/file(_:)``.
    static func write(to staging: FilePath) throws(PublicationError) {
        let file = staging.appending(fileName)
        guard FileStatus(of: file) == nil else { return }
        let text = JSONValue.object([.init("format", .string(format))]).text(indent: 2) + "\n"
        try writing { () throws(SafetensorsError) in try WholeFile.write(Array(text.utf8), to: file) }
    }

    /// Whether a directory is a staging directory of ours, of this version or an earlier one.
    static func marks(_ directory: FilePath) -> Bool {
        (try? FormatVersion.read(directory.appending(fileName), format: format, byteLimit: 1 << 16)) != nil
    }
}
