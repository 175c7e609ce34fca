import FileAccess
import Synchronization
import SystemPackage

/// A file that is open when it is read, and may be closed in between: its object is proved to be the same whenever it
/// is opened again.
///
/// Thousands of input files may belong to a job, while a process has few descriptors.
final class PooledFile: Sendable {
    let path: FilePath
    private let roots: FileRoots
    /// The object, its size and its time, when it was opened first.
    let status: ObjectStatus

    /// Opens a regular file, if it lies below the roots.
    init(reading path: FilePath, within roots: FileRoots) throws(SafetensorsError) {
        let handle = OpenHandle(try Self.opened(path, roots))
        self.path = path
        self.roots = roots
        status = try handle.file.status()
        DescriptorPool.shared.insert(handle, of: ObjectIdentifier(self))
    }

    deinit { DescriptorPool.shared.remove(ObjectIdentifier(self)) }

    /// Does something with the open file.
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

    /// Opens a file; when the process has no descriptors left, those of other files are given up first.
    private static func opened(_ path: FilePath, _ roots: FileRoots) throws(SafetensorsError) -> OpenFile {
        do throws(SafetensorsError) {
            return try OpenFile(reading: path, within: roots)
        } catch .callFailed(_, _, .tooManyOpenFiles) {
            DescriptorPool.shared.removeAll()
            return try OpenFile(reading: path, within: roots)
        }
    }
}

/// A file that is closed when nobody uses it any more.
final class OpenHandle: Sendable {
    let file: OpenFile

    init(_ file: consuming OpenFile) {
        self.file = file
    }
}

/// The files of this process that stay open between two reads: those that were read last.
final class DescriptorPool: Sendable {
    /// All input files of the process; a half of what the system allows, so that sockets and stores have the rest.
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

    /// How many files are open.
    var count: Int { state.withLock { $0.entries.count } }

    /// A file that is open.
    func handle(of name: ObjectIdentifier) -> OpenHandle? {
        state.withLock { state in
            guard let handle = state.entries[name]?.handle else { return nil }
            state.uses += 1
            state.entries[name]?.use = state.uses
            return handle
        }
    }

    /// Keeps a file open, and gives up the one that was read longest ago when there are too many.
    func insert(_ handle: OpenHandle, of name: ObjectIdentifier) {
        // Closed outside of the lock.
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

    /// Gives a file up.
    func remove(_ name: ObjectIdentifier) {
        let handle = state.withLock { $0.entries.removeValue(forKey: name)?.handle }
        withExtendedLifetime(handle) {}
    }

    /// Gives all files up that nobody is reading.
    func removeAll() {
        let handles = state.withLock { state in
            defer { state.entries.removeAll() }
            return state.entries
        }
        withExtendedLifetime(handles) {}
    }
}
