import FileAccess
public import Identifiers
public import SystemPackage

/// A blob of a store that can no longer be read.
///
/// The store has already removed it. Whoever needs the bytes makes or fetches them again.
public struct BlobLoss: Error, Equatable, Sendable, CustomStringConvertible {
    /// How the loss was noticed.
    public enum Fault: Equatable, Sendable {
        /// The file is gone.
        case vanished
        /// Something other than a file has its name.
        case noFile
        /// The file has the wrong size.
        case size(expected: Int, found: Int)
        /// The bytes do not match the name.
        case otherBytes(found: BlobDigest)
        /// The system refuses to read the file.
        case unreadable(call: String, code: Errno)
    }

    /// The blob; `nil` for a directory or a segment of unknown blobs.
    public let digest: BlobDigest?
    /// The path of the file or directory.
    public let path: FilePath
    /// How the loss was noticed.
    public let fault: Fault

    init(_ digest: BlobDigest?, at path: FilePath, _ fault: Fault) {
        self.digest = digest
        self.path = path
        self.fault = fault
    }

    /// The sentence for the log.
    public var description: String {
        let what = digest == nil ? "a part of the store" : "the blob"
        return switch fault {
        case .vanished: "\(path): \(what) is gone. It is made again when it is needed."
        case .noFile: "\(path): \(what) is no file any more; it was removed, and is made again when it is needed."
        case .size(let expected, let found):
            "\(path): \(what) has \(found) bytes; expected \(expected). It was removed, and is made again when it is "
                + "needed. Check the disk."
        case .otherBytes(let found):
            "\(path): \(what) is damaged: its bytes have the digest \(found). It was removed, and is made again when it "
                + "is needed. Check the disk."
        case .unreadable(let call, let code):
            "\(path): \(what) cannot be read: \(call) failed: \(SystemWords.text(of: code)). It was set aside, and is made again when it is "
                + "needed. Check the disk and the permissions."
        }
    }
}

extension BlobLoss.Fault {
    /// Whether nothing of a file can be read, as opposed to a part of it.
    var isOfWholeFile: Bool {
        switch self {
        case .vanished, .noFile, .unreadable(call: "open", _): true
        case .size, .otherBytes, .unreadable: false
        }
    }

    /// The fault of a failed call; `nil` when the process or the machine is the cause.
    init?(call: String, code: Errno) {
        switch code {
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory, .interrupted, .resourceTemporarilyUnavailable:
            return nil
        case .noSuchFileOrDirectory: self = .vanished
        case .isDirectory, .notDirectory: self = .noFile
        default: self = .unreadable(call: call, code: code)
        }
    }
}
