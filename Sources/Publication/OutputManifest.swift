import FileAccess
import Identifiers
import JSONText
public import SystemPackage

/// The list of the files that a job published: `.kfacd-manifest.json` beside them, in the format `kfacd.manifest/1`.
///
/// It proves that a file is ours. Only listed and unchanged files are ever replaced or removed.
public struct OutputManifest: Equatable, Sendable {
    /// Its name in an output directory.
    public static let fileName = ".kfacd-manifest.json"
    /// The largest manifest that is read: some 500 000 files.
    static let byteLimit = 128 << 20

    /// A file that a job published.
    public struct File: Equatable, Sendable {
        /// Its path within the output directory.
        public let path: String
        /// Its size in bytes.
        public let byteCount: UInt64
        /// The SHA-256 of its content, in hexadecimal digits.
        public let digest: String

        /// Lists a file.
        public init(path: String, byteCount: UInt64, digest: String) {
            self.path = path
            self.byteCount = byteCount
            self.digest = digest
        }
    }

    /// The job's name.
    public let job: String
    /// The coordinator that gave the job this name.
    public let coordinator: String
    /// The time in ISO 8601, for people only.
    public let publishedAt: String
    /// The directories that the job made below the output, sorted.
    public let directories: [String]
    /// The files, sorted by path.
    public let files: [File]

    /// Makes the list of a job's files.
    public init(job: String, coordinator: String, publishedAt: String, directories: [String], files: [File]) {
        self.job = job
        self.coordinator = coordinator
        self.publishedAt = publishedAt
        self.directories = directories
        self.files = files
    }

    /// Reads the manifest of an output directory; `nil` when there is none.
    ///
    /// - Throws: ``PublicationError/newerVersion(file:found:known:)``, ``PublicationError/malformed(file:problem:)`` or
    ///   ``PublicationError/file(_:)``.
    public init?(in directory: FilePath) throws(PublicationError) {
        let file = directory.appending(Self.fileName)
        guard FileStatus(of: file) != nil else { return nil }
        try self.init(VersionedFile.read(file, format: .manifest, byteLimit: Self.byteLimit), file: file)
    }

    /// Reads a manifest from text.
    ///
    /// - Parameters:
    ///   - bytes: The text.
    ///   - file: The file's path, for errors.
    /// - Throws: As ``init(in:)``.
    public init(parsing bytes: [UInt8], file: FilePath) throws(PublicationError) {
        try self.init(VersionedFile.parse(bytes, file: file, format: .manifest), file: file)
    }

    init(_ value: JSONValue, file: FilePath) throws(PublicationError) {
        func malformed(_ key: String) -> PublicationError {
            .malformed(file: file, problem: "\"\(key)\" is missing or not what it should be.")
        }
        guard let job = value["job"]?.stringValue, let coordinator = value["coordinator"]?.stringValue else {
            throw malformed("job")
        }
        let directories = (value["directories"]?.elements ?? []).map(\.stringValue)
        guard directories.allSatisfy({ $0.map(Self.isInside) ?? false }) else { throw malformed("directories") }
        var files: [File] = []
        for entry in value["files"]?.elements ?? [] {
            guard let path = entry["path"]?.stringValue, Self.isInside(path), let byteCount = entry["bytes"]?.count,
                let digest = entry["sha256"]?.stringValue, digest.utf8.count == 64
            else { throw malformed("files") }
            files.append(File(path: path, byteCount: byteCount, digest: digest))
        }
        self.init(
            job: job, coordinator: coordinator, publishedAt: value["published_at"]?.stringValue ?? "",
            directories: directories.compactMap { $0 }, files: files)
    }

    /// Whether a path stays within the directory and is not one of our control files.
    public static func isInside(_ text: String) -> Bool {
        let path = FilePath(text)
        return path.isRelative && !path.isEmpty && path.string == text
            && path.components.allSatisfy { $0.kind == .regular }
            && path.components.first.map { !$0.string.hasPrefix(OutputDirectory.hiddenPrefix) } ?? false
    }

    /// The first components of the listed paths.
    var entries: Set<String> {
        Set((files.map(\.path) + directories).compactMap { FilePath($0).components.first?.string })
    }

    /// The file's text.
    var text: String { value.text(indent: 2) + "\n" }

    /// The manifest as a value.
    var value: JSONValue {
        .object([
            .init("format", .string(FormatVersion.manifest.description)),
            .init("job", .string(job)),
            .init("coordinator", .string(coordinator)),
            .init("published_at", .string(publishedAt)),
            .init("directories", .array(directories.map { .string($0) })),
            .init(
                "files",
                .array(
                    files.map { file in
                        .object([
                            .init("path", .string(file.path)), .init("bytes", .number("\(file.byteCount)")),
                            .init("sha256", .string(file.digest)),
                        ])
                    })),
        ])
    }
}
