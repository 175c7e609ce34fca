import Glibc
import Synchronization
public import SystemPackage

/// A file that is written beside its final name, and gets that name only when it is whole.
///
/// Its temporary name is hidden and unique, `.name.<16 hexadecimal digits>.partial`. The file is removed when its owner
/// goes away without ``publish()``. It stays locked until then, so that a clean-up can tell it from a crash's
/// leftovers.
///
/// A staged file is one that other processes write too. Its temporary name is `.name.staged`, and it stays until it is
/// published.
public final class PartialFile<Failure: FileFailure>: Sendable {
    /// The open file.
    public let file: OpenedFile<Failure>
    /// The name that the whole file gets.
    public let finalPath: FilePath
    private let isStaged: Bool
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
        isStaged = false
        self.file = try OpenedFile(creating: directory(of: finalPath).appending(partialName))
        _ = try? file.lockExclusively()
    }

    /// Opens a staged file, or makes an empty one.
    ///
    /// A file that already has its final name, as after a crash, gets the temporary name again.
    ///
    /// - Throws: The failed call.
    public init(staged finalPath: FilePath) throws(Failure) {
        let name = finalPath.lastComponent?.string ?? ""
        let path = directory(of: finalPath).appending(".\(name)\(stagedFileSuffix)")
        let kind = FileStatus(of: path)?.kind
        // Something else that has the name, which only we use, would be in the way for ever.
        if let kind, kind != .file { try? Directories.remove(path) }
        if kind != .file {
            _ = unsafe finalPath.withPlatformString { from in
                unsafe path.withPlatformString { to in unsafe rename(from, to) }
            }
        }
        self.finalPath = finalPath
        isStaged = true
        self.file = try OpenedFile(opening: path, flags: O_RDWR | O_CREAT | O_NOFOLLOW)
    }

    deinit {
        guard !isStaged, !isPublished.withLock({ $0 }) else { return }
        _ = unsafe file.path.withPlatformString { unsafe unlink($0) }
    }

    /// Makes the content durable, renames the file, and makes the name durable, in this order.
    ///
    /// A crash in between leaves either the old state of that name or the whole new file.
    ///
    /// - Throws: The failed call. Only if making the new name durable failed does the new file exist, whole.
    public func publish(isDurable: Bool = true) throws(Failure) {
        if isDurable { try file.synchronize() }
        let result = unsafe file.path.withPlatformString { from in
            unsafe finalPath.withPlatformString { to in unsafe rename(from, to) }
        }
        guard result == 0 else { throw callFailed("rename", finalPath) }
        isPublished.withLock { $0 = true }
        if isDurable { try OpenedFile<Failure>(directory: directory(of: finalPath)).synchronize() }
    }
}

/// The end of the temporary name of a file that is not whole yet.
let partialFileSuffix = ".partial"

/// The end of the temporary name of a file that other processes write too.
public let stagedFileSuffix = ".staged"

/// The parent directory of a path: `.` for a bare name.
public func directory(of path: FilePath) -> FilePath {
    let directory = path.removingLastComponent()
    return directory.isEmpty ? FilePath(".") : directory
}
