import Glibc
public import SystemPackage

/// The directories below which a program touches files that others name.
///
/// What counts is where a path leads once all links are followed: a link from inside to outside is refused, one from
/// outside to inside is not. Hard links cannot be told from files.
public struct FileRoots: Equatable, Sendable {
    /// No limit: for programs that work for the user who started them.
    public static let unlimited = FileRoots(written: [], resolved: nil)
    /// Nothing at all.
    public static let none = FileRoots(written: [], resolved: [])

    /// As they were given, for messages and for telling what a path claims.
    private let written: [FilePath]
    private let resolved: [FilePath]?

    private init(written: [FilePath], resolved: [FilePath]?) {
        self.written = written
        self.resolved = resolved
    }

    /// Limits access to some directories, whose own links are followed once, now.
    ///
    /// - Throws: ``FileRootsError/unusableRoot(path:code:)`` for what is no directory that exists.
    public init(_ directories: [FilePath]) throws(FileRootsError) {
        var resolved: [FilePath] = []
        for directory in directories {
            do {
                let descriptor = try FileDescriptor.open(directory, .readOnly, options: [.closeOnExec, .directory])
                let path = try descriptor.closeAfter { try Self.path(of: descriptor) }
                resolved.append(path)
            } catch {
                throw .unusableRoot(path: directory, code: error as? Errno ?? .ioError)
            }
        }
        self.init(written: directories.map { $0.lexicallyNormalized() }, resolved: resolved)
    }

    /// Whether any file may be touched.
    public var isUnlimited: Bool { resolved == nil }

    /// The directories, as they were given.
    public var directories: [FilePath] { written }

    // MARK: - Reading

    /// Opens a file or directory for reading, whatever lies between check and use.
    ///
    /// The path is opened first without touching what it leads to; the kernel says where that is; and that very object,
    /// not the path, is opened for reading.
    ///
    /// - Returns: A descriptor that the caller closes; it does not block and is not inherited.
    /// - Throws: ``FileRootsError/outside(path:resolved:roots:)`` or ``FileRootsError/callFailed(path:call:code:)``;
    ///   nothing is open then.
    public func open(_ path: FilePath) throws(FileRootsError) -> FileDescriptor {
        guard let resolved else { return try Self.opened(path, for: path) }
        let handle: FileDescriptor
        do {
            handle = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, Self.pathOnly])
        } catch {
            // Whether something exists outside is nobody's business.
            guard isWrittenInside(path) else { throw outside(path, nil) }
            throw .callFailed(path: path, call: "open", code: error as? Errno ?? .ioError)
        }
        defer { try? handle.close() }
        let place: FilePath
        do {
            place = try Self.path(of: handle)
        } catch {
            throw .callFailed(path: path, call: "readlink", code: error as? Errno ?? .ioError)
        }
        guard resolved.contains(where: { place.starts(with: $0) }) else { throw outside(path, place) }
        return try Self.opened(Self.link(to: handle), for: path)
    }

    /// The names in a directory, sorted by Unicode scalars, without `.` and `..`.
    ///
    /// - Throws: as ``open(_:)``.
    public func names(in directory: FilePath) throws(FileRootsError) -> [String] {
        let descriptor = try open(directory)
        guard let stream = unsafe fdopendir(descriptor.rawValue) else {
            let code = Errno(rawValue: errno)
            try? descriptor.close()
            throw .callFailed(path: directory, call: "opendir", code: code)
        }
        // Closes the descriptor too.
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }
    }

    private static func opened(_ path: FilePath, for name: FilePath) throws(FileRootsError) -> FileDescriptor {
        do {
            // Without waiting: a named pipe that nobody writes to would hold the caller for ever.
            return try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking])
        } catch {
            throw .callFailed(path: name, call: "open", code: error as? Errno ?? .ioError)
        }
    }

    // MARK: - Writing

    /// Checks where a path leads that need not exist yet: its nearest ancestor that exists decides.
    ///
    /// - Throws: ``FileRootsError/outside(path:resolved:roots:)``.
    public func requireInside(_ path: FilePath) throws(FileRootsError) {
        guard let resolved else { return }
        let place = Self.destination(of: path)
        guard resolved.contains(where: { place.starts(with: $0) }) else { throw outside(path, place) }
    }

    /// Where a path leads: the part that exists with its links followed, and the rest as it is written.
    private static func destination(of path: FilePath) -> FilePath {
        var existing = path.lexicallyNormalized()
        var rest: [FilePath.Component] = []
        while true {
            if let real = unsafe realpath(existing.string, nil) {
                defer { unsafe free(real) }
                var place = unsafe FilePath(platformString: real)
                for component in rest.reversed() { place.append(component) }
                return place
            }
            guard let last = existing.lastComponent else { return path }
            rest.append(last)
            existing.removeLastComponent()
        }
    }

    // MARK: - Places

    private func outside(_ path: FilePath, _ place: FilePath?) -> FileRootsError {
        .outside(path: path, resolved: isWrittenInside(path) ? place : nil, roots: written)
    }

    /// Whether a path claims to lie inside, links or not.
    private func isWrittenInside(_ path: FilePath) -> Bool {
        let path = path.lexicallyNormalized()
        return (written + (resolved ?? [])).contains { path.starts(with: $0) }
    }

    /// `O_PATH` of open(2), which the Glibc module hides: the same on all processors that kfacd runs on.
    private static let pathOnly = FileDescriptor.OpenOptions(rawValue: 0o10_000_000)

    private static func link(to descriptor: FileDescriptor) -> FilePath {
        FilePath("/proc/self/fd/\(descriptor.rawValue)")
    }

    /// The path of an open file as the kernel sees it, without links.
    ///
    /// - Throws: `Errno`, also when the path is too long to be told.
    private static func path(of descriptor: FileDescriptor) throws -> FilePath {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = unsafe readlink(link(to: descriptor).string, &bytes, Int(PATH_MAX))
        guard count >= 0 else { throw Errno(rawValue: errno) }
        guard count < Int(PATH_MAX) else { throw Errno.fileNameTooLong }
        return FilePath(platformString: bytes)
    }
}
