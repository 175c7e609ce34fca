import FileAccess
import Glibc
import SystemPackage

/// The file of a blob that is being written; it is removed at the end of this object, unless the store took it.
final class IncomingFile {
    private let file: StoreFile
    private var isTaken = false

    init(creating path: FilePath) throws(BlobStoreError) { file = try StoreFile(creating: path) }

    deinit {
        if !isTaken { _ = try? StoreDirectory.remove(file.path) }
    }

    var path: FilePath { file.path }

    func write(_ bytes: RawSpan, at offset: Int) throws(BlobStoreError) { try file.write(bytes, at: offset) }

    /// Notes that the file has another name now, or none.
    func take() { isTaken = true }
}
