import FileAccess
public import SystemPackage

/// Files that were computed and could not be published: the staging directory that keeps them.
///
/// They are whole, and listed with their digests. So they can be published later, by whoever may write there, without
/// the coordinator that made them.
public struct KeptPublication: Sendable {
    /// The staging directory.
    public let staging: FilePath
    private let journal: PublicationJournal

    /// Finds what is kept.
    ///
    /// - Parameter directory: The staging directory, as the failure named it.
    /// - Throws: ``PublicationError/nothingKept(at:)`` when nothing is kept there, or what keeps it from being read.
    public init(at directory: FilePath) throws(PublicationError) {
        guard StagingRecord.marks(directory), let journal = try PublicationJournal(in: directory) else {
            throw .nothingKept(at: directory)
        }
        staging = directory
        self.journal = journal
        // The names are the job's and its coordinator's, as they are in the list.
        guard output(overwrites: false).staging == directory else { throw .nothingKept(at: directory) }
    }

    /// Where the files are published.
    public var path: FilePath { staging.removingLastComponent() }

    /// Publishes the files as their job would have, after another look at each of them and at what is in the way.
    ///
    /// - Parameter overwrites: Whether the files of an earlier job are replaced.
    /// - Returns: Files that stay in the staging directory, since they are of no job.
    /// - Throws: ``PublicationError``; what was computed is kept as it was.
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
