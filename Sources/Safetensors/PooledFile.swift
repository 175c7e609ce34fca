import FileAccess
import Synchronization
import SystemPackage

/// An open file with the errors of this module.
typealias OpenFile = OpenedFile<SafetensorsError>

/// A file that may be closed between reads.
///
/// When it is opened again, it is checked to be the same object.
///
/// A job may have thousands of input files, but a process has few descriptors.
final class PooledFile: Sendable {
    let path: FilePath
    private let roots: FileRoots
    /// The object, its size and its time at the first opening.
    let status: ObjectStatus

    /// Opens a regular file below the roots.
    init(reading path: FilePath, within roots: FileRoots) throws(SafetensorsError) {
        let handle = OpenHandle(try Self.opened(path, roots))
        self.path = path
        self.roots = roots
        status = try handle.file.status()
        DescriptorPool.shared.insert(handle, of: ObjectIdentifier(self))
    }

    deinit { DescriptorPool.shared.remove(ObjectIdentifier(self)) }

    /// Runs a body with the open file.
    func withFile<Result>(
        _ body: (borrowing OpenFile) throws(SafetensorsError) -> Result
    ) throws(SafetensorsError) -> Result {
        let name = ObjectIdentifier(self)
        if let handle = DescriptorPool.shared.handle(of: name) { return try body(handle.file) }
        let handle = OpenHandle(try Self.opened(path, roots))
        guard try handle.file.status() == status else { throw .changed(file: path) }
        DescriptorPool.shared.insert(handle, of: name)
        return try body(handle.file)
    }

    /// Opens a file.
    ///
    /// When the process has no descriptors left, those of other files are closed first.
    private static func opened(_ path: FilePath, _ roots: FileRoots) throws(SafetensorsError) -> OpenFile {
        do throws(SafetensorsError) {
            return try OpenFile(reading: path, within: roots)
        } catch .file(.callFailed(_, _, .tooManyOpenFiles)) {
            DescriptorPool.shared.removeAll()
            return try OpenFile(reading: path, within: roots)
        }
    }
}

/// A file that is closed when its last user releases it.
final class OpenHandle: Sendable {
    let file: OpenFile

    init(_ file: consuming OpenFile) {
        self.file = file
    }
}

/// The files of this process that stay open between reads: those that were read last.
final class DescriptorPool: Sendable {
    /// All input files of the process.
    ///
    /// They take half of the descriptors, so that sockets and stores have the rest.
    static let shared = DescriptorPool(capacity: min(max(DescriptorLimit.current / 2 - 32, 4), 1024))

    private struct State {
        var entries: [ObjectIdentifier: (handle: OpenHandle, use: UInt64)] = [:]
        var uses: UInt64 = 0
    }

    private let capacity: Int
    private let state = Mutex(State())

    init(capacity: Int) {
        self.capacity = capacity
    }

    /// The number of open files.
    var count: Int { state.withLock { $0.entries.count } }

    /// A file of the pool, if it is open.
    func handle(of name: ObjectIdentifier) -> OpenHandle? {
        state.withLock { state in
            guard let handle = state.entries[name]?.handle else { return nil }
            state.uses += 1
            state.entries[name]?.use = state.uses
            return handle
        }
    }

    /// Keeps a file open.
    ///
    /// When there are too many, closes the one that was read longest ago.
    func insert(_ handle: OpenHandle, of name: ObjectIdentifier) {
        // Released outside of the lock, which closes it.
        var oldest: OpenHandle?
        state.withLock { state in
            state.uses += 1
            state.entries[name] = (handle, state.uses)
            guard state.entries.count > capacity else { return }
            guard let first = state.entries.min(by: { $0.value.use < $1.value.use })?.key else { return }
            oldest = state.entries.removeValue(forKey: first)?.handle
        }
        withExtendedLifetime(oldest) {}
    }

    /// Removes a file from the pool.
    func remove(_ name: ObjectIdentifier) {
        let handle = state.withLock { $0.entries.removeValue(forKey: name)?.handle }
        withExtendedLifetime(handle) {}
    }

    /// Removes all files that nobody is reading.
    func removeAll() {
        let handles = state.withLock { state in
            defer { state.entries.removeAll() }
            return state.entries
        }
        withExtendedLifetime(handles) {}
    }
}
