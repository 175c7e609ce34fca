import FileAccess
import Glibc
import Synchronization
import SystemPackage

/// A file that is written beside its final name, and gets that name only when it is whole.
///
/// Its temporary name is hidden and unique, `.name.<16 hexadecimal digits>.partial`. The file is removed when its owner
/// goes away without ``publish()``. It stays locked until then, so that a clean-up can tell it from a crash's
/// leftovers.
final class PartialFile: Sendable {
    let file: OpenFile
    let finalPath: FilePath
    private let isPublished = Mutex(false)

    static let suffix = ".partial"

    init(for finalPath: FilePath) throws(SafetensorsError) {
        let name = finalPath.lastComponent?.string ?? ""
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        let unique = String(repeating: "0", count: 16 - digits.count) + digits
        let partialName = ".\(name).\(unique)\(Self.suffix)"
        self.finalPath = finalPath
        self.file = try OpenFile(creating: directory(of: finalPath).appending(partialName))
        _ = try? file.lockExclusively()
    }

    deinit {
        guard !isPublished.withLock({ $0 }) else { return }
        _ = unsafe file.path.withPlatformString { unsafe unlink($0) }
    }

    /// Makes the content durable, renames the file, and makes the name durable, in this order.
    ///
    /// A crash in between leaves either the old state of that name or the whole new file.
    func publish() throws(SafetensorsError) {
        try file.synchronize()
        let result = unsafe file.path.withPlatformString { from in
            unsafe finalPath.withPlatformString { to in unsafe rename(from, to) }
        }
        guard result == 0 else { throw callFailed("rename", finalPath) }
        isPublished.withLock { $0 = true }
        try OpenFile(directory: directory(of: finalPath)).synchronize()
    }
}

/// The parent directory of a path: `.` for a bare name.
func directory(of path: FilePath) -> FilePath {
    let directory = path.removingLastComponent()
    return directory.isEmpty ? FilePath(".") : directory
}
