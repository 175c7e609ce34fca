import FileAccess
import NameMatching
import SystemPackage

/// The files in an output directory under the names that jobs publish, compared with an earlier job's list.
struct OutputContents {
    /// The names that a job may publish.
    static let entries = ["factors", "inverses", "merged", "regularizer", "report.html", "report.json"]
    /// The earlier job's list.
    let manifest: OutputManifest?
    /// The used names, sorted; without the manifest's own.
    private(set) var present: [String] = []
    /// Unlisted files below these names: paths within the directory.
    private(set) var foreign: [String] = []
    /// Listed files that have changed.
    private(set) var modified: [String] = []
    /// Listed files that cannot be moved, each with the reason.
    private(set) var immovable: [String] = []

    /// Reads a directory.
    ///
    /// - Parameters:
    ///   - directory: The output directory.
    ///   - names: Names besides ``entries`` that will be published.
    ///   - verified: Files with verified digests, and their status then; they are read again only if changed since.
    /// - Throws: ``PublicationError`` when the manifest or a file cannot be read.
    init(
        of directory: FilePath, names: Set<String> = [], verified: inout [String: FileStatus]
    ) throws(PublicationError) {
        manifest = try OutputManifest(in: directory)
        let wanted = names.union(Self.entries).union(manifest?.entries ?? []).union(
            try Self.decidingFiles(in: directory, besides: names))
        let listed = Dictionary((manifest?.files ?? []).map { ($0.path, $0) }) { first, _ in first }
        let directories = Set(manifest?.directories ?? [])
        for name in wanted.sorted() {
            guard let status = FileStatus(of: directory.appending(name)) else { continue }
            present.append(name)
            let below =
                status.kind == .directory
                ? Directories.entries(below: directory.appending(name)).map { ("\(name)/\($0.path)", $0.status) } : []
            let leftovers = Self.leftovers(below)
            for (path, status) in [(name, status)] + below where !leftovers.contains(path) {
                let place = directory.pushing(FilePath(path))
                if status.kind == .directory, directories.contains(path) {
                    noteMovable(path, place)
                } else if status.kind == .file, let file = listed[path] {
                    guard verified[path] != status else { continue }
                    if try Self.isAsListed(place, file, status) {
                        verified[path] = status
                    } else {
                        modified.append(path)
                    }
                } else {
                    foreign.append(path)
                }
            }
        }
    }

    /// The files in a directory that decide what readers load of it, if a model is published there.
    private static func decidingFiles(
        in directory: FilePath, besides names: Set<String>
    ) throws(PublicationError) -> [String] {
        guard names.contains(where: { $0.hasSuffix(".safetensors") }),
            FileStatus(of: directory, followsLinks: true) != nil
        else { return [] }
        return try writing { () throws(FileError) in try WholeFile.names(in: directory) }
            .filter(ModelFileName.decidesLoading)
    }

    /// A directory can be moved to another parent only if it is writable.
    private mutating func noteMovable(_ path: String, _ place: FilePath) {
        if WriteAccess.obstacle(toWritingIn: place) != nil { immovable.append(path) }
    }

    /// Leftovers of NFS clients (`.nfs…`), which they keep when an open file is removed, and directories that contain
    /// nothing else.
    private static func leftovers(_ below: [(String, FileStatus)]) -> Set<String> {
        let left = below.filter { path, status in
            status.kind != .directory && (FilePath(path).lastComponent?.string.hasPrefix(".nfs") ?? false)
        }
        guard !left.isEmpty else { return [] }
        var found = Set(left.map(\.0))
        // Children come after their parents.
        for (path, status) in below.reversed() where status.kind == .directory {
            let children = below.map(\.0).filter { $0.hasPrefix("\(path)/") }
            if !children.isEmpty, children.allSatisfy(found.contains) { found.insert(path) }
        }
        return found
    }

    private static func isAsListed(
        _ path: FilePath, _ file: OutputManifest.File, _ status: FileStatus
    ) throws(PublicationError) -> Bool {
        guard status.byteCount == file.byteCount else { return false }
        return try FileDigest.text(ofFileAt: path) == file.digest
    }

    /// The reasons that forbid publishing here, each as the rest of a sentence that begins with the directory.
    ///
    /// - Parameter overwrites: Whether an earlier job's files may be replaced.
    /// - Returns: Empty when everything may be replaced.
    func reasons(overwrites: Bool) -> [String] {
        guard !present.isEmpty else { return [] }
        guard overwrites else { return [Self.notEmpty(present)] }
        guard manifest != nil else {
            return [
                "holds \(Self.list(present)) and no \(OutputManifest.fileName), so that nothing proves that a kfacd job "
                    + "wrote them; versions before this one wrote no such list. Remove or move them yourself, or choose "
                    + "another."
            ]
        }
        var reasons: [String] = []
        if !foreign.isEmpty {
            reasons.append("holds \(Self.list(foreign)), which no kfacd job wrote. Move it away, or choose another.")
        }
        if !modified.isEmpty {
            reasons.append(
                "holds \(Self.list(modified)), changed after the earlier job wrote it. Move it away, or choose another."
            )
        }
        if !immovable.isEmpty {
            reasons.append(
                "holds \(Self.list(immovable)), which may not be written to and so cannot be replaced. Change its owner "
                    + "or mode, or choose another.")
        }
        return reasons
    }

    /// Says that a directory is not empty.
    static func notEmpty(_ names: [String]) -> String {
        "is not empty (it holds \"\(names[0])\"\(names.count > 1 ? " and \(names.count - 1) more" : "")). Choose "
            + "another, or allow it with --overwrite."
    }

    /// The first few names of a list, and the number of the rest.
    static func list(_ names: [String]) -> String {
        let shown = names.prefix(5).map { "\"\($0)\"" }.joined(separator: ", ")
        return names.count > 5 ? "\(shown) and \(names.count - 5) more" : shown
    }
}

extension FileDigest {
    /// The SHA-256 of a file in hexadecimal digits.
    static func text(ofFileAt path: FilePath) throws(PublicationError) -> String {
        let bytes = try writing { () throws(FileError) in try FileDigest.sha256(ofFileAt: path) }
        return hexadecimal(bytes)
    }

    /// Bytes in hexadecimal digits.
    static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
}
