import Glibc
import Synchronization
public import SystemPackage

/// A file that is written beside its final name, and gets that name only when it is whole.
///
/// Its temporary name is hidden and unique, `.name.<16 hexadecimal digits>.partial`. The file is removed when its owner
/// goes away without ``publish()``. It stays locked until then, so that a clean-up can tell it from a crash's
/// leftovers.
public final class PartialFile<Failure: FileFailure>: Sendable {
    /// The open file.
    public let file: OpenedFile<Failure>
    /// The name that the whole file gets.
    public let finalPath: FilePath
    private let isPublished = Mutex(false)

    /// Creates the file beside its final name.
    ///
    /// - Throws: The failed call; nothing is left behind.
    public init(for finalPath: FilePath) throws(Failure) {
        let name = finalPath.lastComponent?.string ?? ""
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        let unique = String(repeating: "0", count: 16 - digits.count) + digits
        let partialName = ".\(name).\(unique)\(partialFileSuffix)"
        self.finalPath = finalPath
        self.file = try OpenedFile(creating: directory(of: finalPath).appending(partialName))
        _ = try? file.lockExclusively()
    }

    deinit {
        guard !isPublished.withLock({ $0 }) else { return }
        _ = unsafe file.path.withPlatformString { unsafe unlink($0) }
    }

    /// Makes the content durable, renames the file, and makes the name durable, in this order.
    ///
    /// A crash in between leaves either the old state of that name or the whole new file.
    ///
    /// - Throws: The failed call. Only if making the new name durable failed does the new file exist, whole.
    public func publish() throws(Failure) {
        try file.synchronize()
        let result = unsafe file.path.withPlatformString { from in
            unsafe finalPath.withPlatformString { to in unsafe rename(from, to) }
        }
        guard result == 0 else { throw callFailed("rename", finalPath) }
        isPublished.withLock { $0 = true }
        try OpenedFile<Failure>(directory: directory(of: finalPath)).synchronize()
    }
}

/// The end of the temporary name of a file that is not whole yet.
let partialFileSuffix = ".partial"

/// The parent directory of a path: `.` for a bare name.
public func directory(of path: FilePath) -> FilePath {
    let directory = path.removingLastComponent()
    return directory.isEmpty ? FilePath(".") : directory
}
