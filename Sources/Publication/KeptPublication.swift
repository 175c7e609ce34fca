import FileAccess
public import SystemPackage

/// A staging directory with files that were computed and could not be published.
///
/// The files are whole, and a list has their digests. So they can be published later, without the coordinator that made
/// them. The publishing user needs write access to the directory.
public struct KeptPublication: Sendable {
    /// The staging directory.
    public let staging: FilePath
    private let journal: PublicationJournal

    /// Finds the kept files.
    ///
    /// - Parameter directory: The staging directory, as the failure named it.
    /// - Throws: ``PublicationError/nothingKept(at:)`` when the directory keeps no files, or another
    ///   ``PublicationError`` when it cannot be read.
    public init(at directory: FilePath) throws(PublicationError) {
        guard StagingRecord.marks(directory), let journal = try PublicationJournal(in: directory) else {
            throw .nothingKept(at: directory)
        }
        staging = directory
        self.journal = journal
        // The job and the coordinator in the list give the directory's name. A directory with another name is refused.
        guard output(overwrites: false).staging == directory else { throw .nothingKept(at: directory) }
    }

    /// Where the files are published.
    public var path: FilePath { staging.removingLastComponent() }

    /// Publishes the files as their job would have.
    ///
    /// Before that it checks each file again, and the files in the output directory.
    ///
    /// - Parameter overwrites: Whether the files of an earlier job are replaced.
    /// - Returns: Files that stay in the staging directory, because they belong to no job.
    /// - Throws: ``PublicationError``. The kept files are then unchanged.
    @discardableResult
    public func finish(overwrites: Bool) throws -> [FilePath] {
        let output = output(overwrites: overwrites)
        try output.claim()
        do {
            let publishing = Publishing(path: path, staging: staging, journal: journal)
            guard try publishing.isWhole() else { throw PublicationError.changed(staging: staging) }
            try output.publish()
        } catch {
            output.discard()
            throw error
        }
        return output.removeStaging()
    }

    private func output(overwrites: Bool) -> OutputDirectory {
        OutputDirectory(
            path: path, job: journal.manifest.job,
            owner: ClaimOwner(coordinator: journal.manifest.coordinator, stateDirectory: ""), overwrites: overwrites,
            roots: .unlimited)
    }
}
