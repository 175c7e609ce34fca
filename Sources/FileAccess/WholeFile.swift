import Glibc
public import SystemPackage

/// Reads and writes small files; a file that exists is whole.
///
/// Content is written to a hidden file beside the final one and made durable. Then the file is renamed, and the rename
/// is made durable. Source: DESIGN section 3.
public enum WholeFile {
    /// Writes a file of these bytes, replacing one of the same name.
    ///
    /// - Parameters:
    ///   - bytes: The content.
    ///   - path: The file.
    ///   - isDurable: Whether the file must survive a crash of the machine.
    /// - Throws: ``FileError``; the file of that name is then the old one or absent. Only if making the new name
    ///   durable failed does the new file exist, whole.
    public static func write(_ bytes: [UInt8], to path: FilePath, isDurable: Bool = true) throws(FileError) {
        let partial = try PartialFile<FileError>(for: path)
        try partial.file.write(unsafe bytes.span.bytes, at: 0)
        try partial.publish(isDurable: isDurable)
    }

    /// Copies a regular file's content, replacing a file of the destination's name.
    ///
    /// - Parameters:
    ///   - source: The file.
    ///   - destination: The copy's path.
    ///   - roots: The directories below which the source may lie.
    /// - Throws: ``FileError``; the destination is then the old file or absent, as for ``write(_:to:)``.
    public static func copy(
        from source: FilePath, to destination: FilePath, within roots: FileRoots = .unlimited
    ) throws(FileError) {
        let input = try OpenedFile<FileError>(reading: source, within: roots)
        let partial = try PartialFile<FileError>(for: destination)
        _ = try input.forEachBlock { block, offset throws(FileError) in
            try partial.file.write(block, at: offset)
            return true
        }
        try partial.publish()
    }

    /// The content of a regular file of at most `limit` bytes.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - limit: The most bytes that it may have.
    ///   - roots: The directories below which the file may lie.
    /// - Returns: All of its bytes.
    /// - Throws: ``FileError/fileTooLarge(file:byteCount:limit:)`` before any memory is allocated, or the failed
    ///   call.
    public static func read(
        _ path: FilePath, limit: Int, within roots: FileRoots = .unlimited
    ) throws(FileError) -> [UInt8] {
        let file = try OpenedFile<FileError>(reading: path, within: roots)
        let byteCount = try file.status().byteCount
        guard byteCount <= limit else { throw .fileTooLarge(file: path, byteCount: byteCount, limit: limit) }
        return try file.bytes(at: 0, count: byteCount)
    }

    /// The names in a directory, sorted by Unicode scalars, without `.` and `..`.
    ///
    /// - Parameters:
    ///   - directory: The directory.
    ///   - roots: The directories below which the directory may lie.
    /// - Returns: The names, hidden ones too.
    /// - Throws: ``FileError/callFailed(file:call:code:)`` or ``FileError/outsideRoots(_:)``.
    public static func names(
        in directory: FilePath, within roots: FileRoots = .unlimited
    ) throws(FileError) -> [String] {
        do throws(FileRootsError) { return try roots.names(in: directory) } catch { throw FileError(error) }
    }

    /// Removes half-written files that a crash left in a directory; files of a living process are kept.
    ///
    /// A leftover has the temporary name, and its lock is free. On a file system without locks nothing is removed.
    ///
    /// - Returns: the names that were removed.
    /// - Throws: ``FileError/callFailed(file:call:code:)`` if the directory cannot be listed; a leftover that
    ///   cannot be removed is skipped.
    @discardableResult
    public static func removeStalePartials(in directory: FilePath) throws(FileError) -> [String] {
        var removed: [String] = []
        for name in try names(in: directory) where name.hasPrefix(".") && name.hasSuffix(partialFileSuffix) {
            let path = directory.appending(name)
            guard let file = try? OpenedFile<FileError>(reading: path, within: .unlimited),
                (try? file.lockExclusively()) == true
            else { continue }
            if unsafe path.withPlatformString({ unsafe unlink($0) }) == 0 { removed.append(name) }
        }
        return removed
    }
}
