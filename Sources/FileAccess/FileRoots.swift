import Glibc
public import SystemPackage

/// The directories below which a program may open files that others name.
///
/// The place that a path leads to decides, after all links are followed. A link from inside to outside is refused; one
/// from outside to inside is not. Hard links cannot be told from files.
public struct FileRoots: Equatable, Sendable {
    /// No limit, for programs that work for the user who started them.
    public static let unlimited = FileRoots(written: [], resolved: nil)
    /// No access at all.
    public static let none = FileRoots(written: [], resolved: [])

    /// The directories as given, for messages and for comparing paths.
    private let written: [FilePath]
    private let resolved: [FilePath]?

    private init(written: [FilePath], resolved: [FilePath]?) {
        self.written = written
        self.resolved = resolved
    }

    /// Limits access to some directories.
    ///
    /// Their own links are followed once, now.
    ///
    /// - Throws: ``FileRootsError/unusableRoot(path:code:)`` for a path that is not an existing directory.
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

    /// Whether every file may be opened.
    public var isUnlimited: Bool { resolved == nil }

    /// The directories, as they were given.
    public var directories: [FilePath] { written }

    // MARK: - Reading

    /// What lies at a path.
    public enum Kind: Equatable, Sendable {
        /// A regular file.
        case file
        /// A directory.
        case directory
        /// A pipe, a socket or a device.
        case other
    }

    /// Opens a file or directory for reading.
    ///
    /// A change of the path between check and use has no effect.
    ///
    /// The path is first opened as a handle that touches nothing. The kernel tells where the handle leads. Then that
    /// object, not the path, is opened for reading. Pipes and devices are not opened, because opening one may have an
    /// effect.
    ///
    /// - Returns: A descriptor that the caller closes; it does not block and is not inherited.
    /// - Throws: ``FileRootsError``; nothing is open then.
    public func open(
        _ path: FilePath, for mode: FileDescriptor.AccessMode = .readOnly
    ) throws(FileRootsError) -> FileDescriptor {
        guard resolved != nil else { return try Self.opened(path, mode, for: path) }
        let handle = try untouched(path)
        defer { try? handle.close() }
        guard Self.kind(of: handle) != .other else { throw .notFile(path: path) }
        return try Self.opened(Self.link(to: handle), mode, for: path)
    }

    /// The kind of object at a path, links followed, without opening it; `nil` when nothing exists there.
    ///
    /// - Throws: ``FileRootsError/outside(path:isLink:roots:)``, whether something exists there or not, or
    ///   ``FileRootsError/callFailed(path:call:code:)`` when the kind cannot be determined.
    public func kind(of path: FilePath) throws(FileRootsError) -> Kind? {
        do {
            let handle = try untouched(path)
            defer { try? handle.close() }
            return Self.kind(of: handle)
        } catch .callFailed(_, _, let code) where [.noSuchFileOrDirectory, .notDirectory].contains(code) {
            return nil
        }
    }

    /// A handle to the object at a path inside the roots.
    ///
    /// The handle can neither be read nor written.
    private func untouched(_ path: FilePath) throws(FileRootsError) -> FileDescriptor {
        let handle: FileDescriptor
        do {
            handle = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, Self.pathOnly])
        } catch {
            // Never reveal whether something exists outside, even where a link leads there.
            try requireInside(path)
            throw .callFailed(path: path, call: "open", code: error as? Errno ?? .ioError)
        }
        do {
            guard let resolved else { return handle }
            let place = try Self.path(of: handle)
            if resolved.contains(where: { place.starts(with: $0) }) { return handle }
        } catch {
            try? handle.close()
            throw .callFailed(path: path, call: "readlink", code: error as? Errno ?? .ioError)
        }
        try? handle.close()
        throw outside(path)
    }

    private static func kind(of handle: FileDescriptor) -> Kind {
        var status = stat()
        guard unsafe fstat(handle.rawValue, &status) == 0 else { return .other }
        return switch status.st_mode & S_IFMT {
        case S_IFREG: .file
        case S_IFDIR: .directory
        default: .other
        }
    }

    /// The names in a directory, sorted by Unicode scalars, without `.` and `..`.
    ///
    /// - Parameters:
    ///   - directory: The directory.
    ///   - limit: The most names that are read.
    /// - Returns: The names, hidden ones too.
    /// - Throws: as ``open(_:)``, and ``FileRootsError/tooManyNames(directory:limit:)``.
    public func names(in directory: FilePath, limit: Int = .max) throws(FileRootsError) -> [String] {
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
            guard name != ".", name != ".." else { continue }
            guard names.count < limit else { throw .tooManyNames(directory: directory, limit: limit) }
            names.append(name)
        }
        return names.sorted { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }
    }

    private static func opened(
        _ path: FilePath, _ mode: FileDescriptor.AccessMode = .readOnly, for name: FilePath
    ) throws(FileRootsError) -> FileDescriptor {
        do {
            // Do not block: opening a named pipe without a writer would wait for ever.
            return try FileDescriptor.open(path, mode, options: [.closeOnExec, .nonBlocking])
        } catch {
            throw .callFailed(path: name, call: "open", code: error as? Errno ?? .ioError)
        }
    }

    // MARK: - Writing

    /// Checks where a path leads.
    ///
    /// The path need not exist; its links are followed as far as it does.
    ///
    /// - Throws: ``FileRootsError/outside(path:isLink:roots:)``.
    public func requireInside(_ path: FilePath) throws(FileRootsError) {
        guard let resolved else { return }
        guard let place = Self.destination(of: path), resolved.contains(where: { place.starts(with: $0) }) else {
            throw outside(path)
        }
    }

    /// The most links in one path; the kernel has the same limit.
    private static let linksMax = 40

    /// Where a path leads: its links are followed in turn, and its missing part is kept as written.
    ///
    /// `nil` for more links than the kernel follows.
    ///
    /// A link to a missing target counts as leading there. The result does not reveal that the target is missing.
    private static func destination(of path: FilePath) -> FilePath? {
        var place = FilePath(root: "/")
        var rest = Array(path.components.reversed())
        var links = 0
        while let component = rest.popLast() {
            switch component.kind {
            case .currentDirectory: continue
            case .parentDirectory:
                place.removeLastComponent()
                continue
            case .regular: break
            }
            let next = place.appending(component)
            guard let target = target(ofLink: next) else {
                place = next
                continue
            }
            links += 1
            guard links <= linksMax else { return nil }
            if target.isAbsolute { place = FilePath(root: "/") }
            rest += target.components.reversed()
        }
        return place
    }

    /// The target of a symbolic link, or `nil` when the path is not one.
    private static func target(ofLink path: FilePath) -> FilePath? {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = unsafe readlink(path.string, &bytes, Int(PATH_MAX))
        return count > 0 ? FilePath(platformString: bytes) : nil
    }

    // MARK: - Places

    private func outside(_ path: FilePath) -> FileRootsError {
        .outside(path: path, isLink: isWrittenInside(path), roots: written)
    }

    /// Whether a path, as written, lies inside; links are ignored.
    private func isWrittenInside(_ path: FilePath) -> Bool {
        let path = path.lexicallyNormalized()
        return (written + (resolved ?? [])).contains { path.starts(with: $0) }
    }

    /// `O_PATH` of open(2), which the Glibc module hides.
    ///
    /// Its value is the same on all processors that kfacd runs on.
    private static let pathOnly = FileDescriptor.OpenOptions(rawValue: 0o10_000_000)

    private static func link(to descriptor: FileDescriptor) -> FilePath {
        FilePath("/proc/self/fd/\(descriptor.rawValue)")
    }

    /// The path of an open file, without links, as the kernel reports it.
    ///
    /// - Throws: `Errno`, also when the path is too long for the kernel to report.
    private static func path(of descriptor: FileDescriptor) throws -> FilePath {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = unsafe readlink(link(to: descriptor).string, &bytes, Int(PATH_MAX))
        guard count >= 0 else { throw Errno(rawValue: errno) }
        guard count < Int(PATH_MAX) else { throw Errno.fileNameTooLong }
        return FilePath(platformString: bytes)
    }
}
