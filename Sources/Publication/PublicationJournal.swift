import FileAccess
import Identifiers
import JSONText
import SystemPackage

/// The plan of a publication, written before the first name changes: `.publication.json` in the staging directory, in
/// the format `kfacd.publication/1`.
///
/// With it a publication that was interrupted at any step is finished or reverted. Files are identified by their
/// content: the list of the new files holds the digests.
struct PublicationJournal: Equatable {
    static let fileName = ".publication.json"

    /// The list of the new files.
    let manifest: OutputManifest
    /// The list of the files that they replace.
    let replaced: OutputManifest?

    /// The names that get new files, in this order: first the files, then the report, and the list last.
    var placed: [String] {
        manifest.entries.sorted { Self.rank($0) < Self.rank($1) } + [OutputManifest.fileName]
    }

    /// The names of the earlier job for which the new one has no files.
    var dropped: [String] { (replaced?.entries ?? []).subtracting(manifest.entries).sorted() }

    private static func rank(_ name: String) -> String { (name.hasPrefix("report.") ? "1" : "0") + name }

    init(manifest: OutputManifest, replaced: OutputManifest?) {
        self.manifest = manifest
        self.replaced = replaced
    }

    /// Reads the journal of a staging directory; `nil` when its publication has not begun.
    ///
    /// - Throws: ``PublicationError`` when it cannot be read.
    init?(in staging: FilePath) throws(PublicationError) {
        let file = staging.appending(Self.fileName)
        guard FileStatus(of: file) != nil else { return nil }
        let value = try VersionedFile.read(file, format: .publication, byteLimit: 2 * OutputManifest.byteLimit)
        guard let manifest = value["manifest"] else {
            throw .malformed(file: file, problem: "\"manifest\" is missing.")
        }
        self.manifest = try OutputManifest(manifest, file: file)
        if let earlier = value["replaced"], earlier != .null {
            replaced = try OutputManifest(earlier, file: file)
        } else {
            replaced = nil
        }
    }

    /// Writes the journal durably.
    ///
    /// - Throws: ``PublicationError/file(_:)``; no journal exists then.
    func write(to staging: FilePath) throws(PublicationError) {
        let value = JSONValue.object([
            .init("format", .string(FormatVersion.publication.description)), .init("manifest", manifest.value),
            .init("replaced", replaced?.value ?? .null),
        ])
        try writing { () throws(FileError) in
            try WholeFile.write(Array(value.text(indent: 2).utf8), to: staging.appending(Self.fileName))
        }
    }
}
