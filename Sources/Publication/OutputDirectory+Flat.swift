import FileAccess
import SystemPackage

/// The flat layout: the files of one staged directory are published in the output directory itself.
///
/// Until the publication they are staged below that directory like those of any other output. Both steps go on where an
/// interrupted one has stopped.
extension OutputDirectory {
    /// Moves the files of a staged directory out of it.
    ///
    /// - Parameters:
    ///   - name: The directory's name.
    ///   - proven: Staged files whose digests are known.
    /// - Returns: The same files with their new paths.
    /// - Throws: ``PublicationError`` when a name is taken by another output, or a file cannot be moved.
    public func spread(_ name: String, proven: [ProvenFile]) throws(PublicationError) -> [ProvenFile] {
        let directory = staging.appending(name)
        guard Directories.exists(directory) else { return proven }
        // A rename changes a file's status, and only a file with its known status is moved with its digest.
        let unchanged = proven.filter { FileStatus(of: $0.path) == $0.status }
        for entry in try writing({ () throws(FileAccessError) in try Directories.names(in: directory) }) {
            try Rename.move(directory.pushing(entry), to: staging.pushing(entry))
        }
        try writing { () throws(FileAccessError) in try Directories.remove(directory) }
        return unchanged.compactMap { file in
            var path = file.path
            if path.removePrefix(directory) { path = staging.pushing(path) }
            return FileStatus(of: path).map { ProvenFile(path: path, status: $0, digest: file.digest) }
        }
    }

    /// Moves files that ``spread(_:proven:)`` has moved back, so that they can be checked as they were staged.
    ///
    /// - Parameter name: The directory's name.
    /// - Throws: ``PublicationError`` when a file cannot be moved.
    public func gather(_ name: String) throws(PublicationError) {
        let names = try writing { () throws(FileAccessError) in try Directories.names(in: staging) }
        let spread = names.filter { !$0.string.hasPrefix(".") && !OutputContents.entries.contains($0.string) }
        guard !spread.isEmpty else { return }
        let directory = staging.appending(name)
        _ = try writing { () throws(FileAccessError) in try Directories.create(directory) }
        for entry in spread {
            if Directories.exists(directory.pushing(entry)) {
                // It was written again meanwhile.
                try writing { () throws(FileAccessError) in try Directories.remove(staging.pushing(entry)) }
            } else {
                try Rename.move(staging.pushing(entry), to: directory.pushing(entry))
            }
        }
    }
}
