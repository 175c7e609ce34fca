public import FileAccess
import Foundation
import Synchronization
public import SystemPackage

/// A directory that receives the files of one job all at once.
///
/// Files are written to a staging directory within it, and get their names at the end. So a failed job leaves nothing,
/// and a reader never sees half of the files. The job holds the directory from its admission on (``claim()``), so that
/// no other job can publish there. Only unchanged files of an earlier job are replaced.
///
/// Safe to use from any thread.
public final class OutputDirectory: Sendable {
    /// The directory; a link counts as its target.
    public let path: FilePath
    /// The directory for files until the job is done.
    ///
    /// It stays the same after a restart, and differs from other coordinators'.
    public let staging: FilePath

    private let job: String
    private let owner: ClaimOwner
    private let overwrites: Bool
    /// The directories below which it may lie; checked again, because links may have changed since the job was
    /// accepted.
    private let roots: FileRoots
    private let state = Mutex(State())

    private struct State {
        var claim: OutputClaim?
        /// Files of an earlier job that matched its list.
        var verified: [String: FileStatus] = [:]
    }

    /// The prefix of all names in an output directory that are not published.
    static let hiddenPrefix = ".kfacd-"

    /// Describes the output of a job; makes nothing.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - job: The job's name at its coordinator.
    ///   - owner: The publisher.
    ///   - overwrites: Whether the files of an earlier job are replaced.
    ///   - roots: The directories below which it may lie.
    public init(path: FilePath, job: String, owner: ClaimOwner, overwrites: Bool, roots: FileRoots) {
        self.path = path
        self.job = job
        self.owner = owner
        self.overwrites = overwrites
        self.roots = roots
        staging = path.appending("\(Self.hiddenPrefix)\(job)-\(owner.coordinator)")
    }

    // MARK: - Before the work

    /// The known problems that forbid publishing here; makes and changes nothing.
    ///
    /// - Parameter files: The files that will be published.
    /// - Returns: Sentences, each with its remedy.
    public func problems(publishing files: [PlannedFile]) -> [String] {
        let staged = staging.lastComponent?.string ?? ""
        let longest = files.map { file in
            let path = FilePath(staged).pushing(FilePath(file.path))
            let name = WriteAccess.temporaryName(of: path.lastComponent?.string ?? "")
            return path.removingLastComponent().appending(name).string
        }
        if let obstacle = WriteAccess.obstacle(toUsing: path, for: longest) {
            let verb = Directories.exists(path) ? "used" : "made"
            return ["the output directory \(path) cannot be \(verb): \(obstacle) Choose another."]
        }
        if let obstacle = WriteAccess.obstacle(toHolding: files + Self.controlFiles, in: path) {
            return ["the output directory \(path) cannot hold the outputs: \(obstacle) Choose another."]
        }
        if let problem = outerProblem() { return [problem] }
        do throws(PublicationError) {
            let names = Set(files.compactMap { FilePath($0.path).components.first?.string })
            return try reasons(isStart: true, publishing: names).map { "the output directory \(path) \($0)" }
        } catch {
            return [error.description]
        }
    }

    /// The lack of free space, in words; `nil` when there is enough.
    ///
    /// - Parameter files: The files that will be published.
    /// - Returns: A sentence.
    public func shortage(publishing files: [PlannedFile]) -> String? {
        WriteAccess.shortage(of: files, in: path)?.description
    }

    /// The files that are written besides the files of a job; each takes at least a block.
    private static let controlFiles = [
        OutputClaim.fileName, OutputManifest.fileName, StagingRecord.fileName, PublicationJournal.fileName,
    ].map { PlannedFile(path: $0, byteCount: 1) }

    private func reasons(
        isStart: Bool, publishing wanted: Set<String> = []
    ) throws(PublicationError) -> [String] {
        guard FileStatus(of: path, followsLinks: true) != nil else { return [] }
        let names = try writing { () throws(FileError) in try WholeFile.names(in: path) }
        let present = names.filter { !$0.hasPrefix(Self.hiddenPrefix) }
        if isStart, !overwrites { return present.isEmpty ? [] : [OutputContents.notEmpty(present)] }
        var verified = state.withLock { $0.verified }
        let contents = try OutputContents(of: path, names: wanted, verified: &verified)
        state.withLock { $0.verified = verified }
        return contents.reasons(overwrites: overwrites)
    }

    /// The problem of a directory below another job's outputs: it would be replaced together with them.
    private func outerProblem() -> String? {
        var inner = path
        while let name = inner.lastComponent?.string {
            inner.removeLastComponent()
            guard OutputContents.entries.contains(name), let holder = OutputClaim.holder(of: inner) else { continue }
            return "the output directory \(path) lies in that of \(holder.holder), which is running. Choose another."
        }
        return nil
    }

    /// Makes the directory and claims it for the job, until ``discard()`` or ``removeStaging()``.
    ///
    /// Leftovers of interrupted jobs whose owners are gone are finished or removed.
    ///
    /// - Throws: ``PublicationError/held(path:holder:)`` when another job holds it,
    ///   ``PublicationError/inTheWay(path:reasons:)`` when an interrupted publication was finished, or the error that
    ///   prevents writing to it; nothing was made then.
    public func claim() throws(PublicationError) {
        guard state.withLock({ $0.claim }) == nil else { return }
        do { try roots.requireInside(path) } catch {
            throw .inTheWay(path: path, reasons: ["cannot be used: \(error)"])
        }
        let made = try writing { () throws(FileAccessError) in try Directories.create(path, isDurable: true) }
        do throws(PublicationError) {
            var record = ClaimRecord(job: job, owner: owner)
            record.made = made.map(\.string)
            let claim = try OutputClaim.take(path, for: record)
            state.withLock { $0.claim = claim }
            try settleOthers()
        } catch {
            release()
            Directories.removeEmpty(made)
            throw error
        }
    }

    /// The holder of the claim is alone, so every other staging directory belongs to an ended or interrupted job.
    private func settleOthers() throws(PublicationError) {
        var isChanged = false
        for name in (try? WholeFile.names(in: path)) ?? [] where name.hasPrefix(Self.hiddenPrefix) {
            let other = path.appending(name)
            guard other != staging, FileStatus(of: other)?.kind == .directory, StagingRecord.marks(other) else {
                continue
            }
            if Directories.exists(other.appending(StagingRecord.kept)) { continue }
            guard let journal = try PublicationJournal(in: other) else {
                try? Directories.remove(other)
                continue
            }
            let publishing = Publishing(path: path, staging: other, journal: journal)
            // The publication failed; its files are kept, unless names have changed already.
            let (isWhole, hasBegun) = (try publishing.isWhole(), try publishing.hasBegun())
            guard !isWhole, hasBegun else { continue }
            try publishing.run(isContinued: true)
            _ = publishing.removeReplaced()
            isChanged = true
        }
        guard isChanged else { return }
        let reasons = try reasons(isStart: true)
        guard reasons.isEmpty else { throw .inTheWay(path: path, reasons: reasons) }
    }

    /// Releases the directory.
    private func release() {
        let claim = state.withLock { state in
            defer { state.claim = nil }
            return state.claim
        }
        claim?.release()
        Directories.removeEmpty((claim?.record.made ?? []).map { FilePath($0) })
    }

    // MARK: - Staging

    /// Makes a subdirectory of the staging directory, with its parents.
    ///
    /// Half-written files of a crash there are removed, because they would be published with the rest.
    ///
    /// - Throws: ``PublicationError`` when it cannot be made or read, `FileRootsError` when it would lie outside the
    ///   roots.
    public func stage(_ components: String...) throws -> FilePath {
        var path = FilePath("")
        for component in components { path.append(component) }
        return try stage(at: path)
    }

    /// Makes a subdirectory of the staging directory, given by its path within it.
    ///
    /// - Parameters:
    ///   - path: The path.
    ///   - isDurable: Whether the directories survive a loss of power from now on. A file needs that only when it is
    ///     whole.
    /// - Returns: The directory.
    /// - Throws: As ``stage(_:)``.
    public func stage(at path: FilePath, isDurable: Bool = true) throws -> FilePath {
        let directory = path.isEmpty ? staging : staging.pushing(path)
        try roots.requireInside(directory)
        _ = try writing { () throws(FileAccessError) in try Directories.create(directory) }
        try roots.requireInside(directory)
        try StagingRecord.write(to: staging)
        if isDurable {
            // All of them, because an earlier call may have made some that are not durable.
            var parent = directory
            while parent != self.path, parent.removeLastComponent() {
                try writing { () throws(FileAccessError) in try Directories.synchronize(parent) }
            }
        }
        try WholeFile.removeStalePartials(in: directory)
        return directory
    }

    /// Removes what an earlier job of the same name has staged, unless its publication has begun.
    ///
    /// - Throws: ``PublicationError``.
    public func removeUnpublished() throws(PublicationError) {
        guard isStaged, !isBegun else { return }
        try writing { () throws(FileAccessError) in try Directories.remove(staging) }
    }

    /// Whether everything is staged and its publication has begun; ``publish()`` then continues it.
    var isBegun: Bool { Directories.exists(staging.appending(PublicationJournal.fileName)) }

    /// Whether a publication has begun and can continue: each new file still matches the list.
    ///
    /// If a new file does not match, the old files get their names back, and the publication no longer counts as begun.
    /// The caller must then check the staged files, and stage changed ones again.
    ///
    /// - Throws: ``PublicationError`` when files cannot be read.
    public func canGoOn() throws(PublicationError) -> Bool {
        guard let journal = try PublicationJournal(in: staging) else { return false }
        let publishing = Publishing(path: path, staging: staging, journal: journal)
        guard try publishing.lost() != nil else { return true }
        publishing.takeBack()
        for name in [StagingRecord.kept, PublicationJournal.fileName] {
            try writing { () throws(FileAccessError) in try Directories.remove(staging.appending(name)) }
        }
        return false
    }

    /// Whether the staging directory exists.
    public var isStaged: Bool { Directories.exists(staging) }

    /// The last row of the journal whose files may be missing from the staging directory.
    ///
    /// It is zero unless ``renew(after:)`` made the staging directory, and `nil` when there is none.
    public var lastUnusableRow: Int64? {
        guard isStaged else { return nil }
        guard let text = try? TextFile.read(staging.appending(StagingRecord.renewal), limit: 64) else { return 0 }
        return Int64(text) ?? 0
    }

    /// Makes the staging directory again, and records for the next restart which journal rows came before.
    ///
    /// By then some of their files may exist again, and others not yet.
    ///
    /// - Throws: As ``stage(_:)``.
    public func renew(after row: Int64) throws {
        try WholeFile.write(Array("\(row)".utf8), to: try stage().appending(StagingRecord.renewal))
    }

    // MARK: - Publishing

    /// Gives the staged files their names, and moves the files that they replace to the staging directory.
    ///
    /// After a crash it continues where it stopped; when all is done it does nothing. The staging directory stays until
    /// ``removeStaging()``, which is called when the job's end is durable.
    ///
    /// - Parameter proven: Staged files whose digests the caller has just computed; a file is read again only if it has
    ///   changed since.
    /// - Throws: ``PublicationError/kept(staging:cause:)`` when something is in the way; the new files stay staged, and
    ///   the old ones keep their names. ``PublicationError`` with the failed call when another attempt may succeed.
    public func publish(proven: [ProvenFile] = []) throws {
        try publish(by: .atomic, proven: proven) { (_: String) throws(PublicationError) in }
    }

    /// Publishes with a given way of exchanging names, and a hook before each step.
    ///
    /// - Throws: As ``publish()``.
    func publish(
        by way: Rename.Exchange, proven: [ProvenFile] = [],
        onStep: @escaping (String) throws(PublicationError) -> Void
    ) throws {
        guard isStaged else { throw PublicationError.vanished(staging: staging) }
        try roots.requireInside(staging)
        try writing { () throws(FileAccessError) in try Directories.remove(staging.appending(StagingRecord.kept)) }
        do throws(PublicationError) { try exchange(by: way, proven, onStep: onStep) } catch {
            // Others may now use the names; the computed files are kept.
            if case .kept = error { StagingRecord.markKept(staging) }
            throw error
        }
        try writing { () throws(FileAccessError) in
            try Directories.synchronize(staging)
            try Directories.synchronize(path)
        }
    }

    private func exchange(
        by way: Rename.Exchange, _ proven: [ProvenFile], onStep: @escaping (String) throws(PublicationError) -> Void
    ) throws(PublicationError) {
        var publishing: Publishing?
        if let known = try PublicationJournal(in: staging) {
            let earlier = Publishing(path: path, staging: staging, journal: known, way: way, onStep: onStep)
            // A reverted attempt starts again, and checks again for files in the way.
            let isWhole = try earlier.isWhole()
            if !isWhole { publishing = earlier }
        }
        let isContinued = publishing != nil
        if publishing == nil {
            _ = try writing { () throws(FileError) in try WholeFile.removeStalePartials(in: staging) }
            publishing = Publishing(path: path, staging: staging, journal: try begin(proven), way: way, onStep: onStep)
        }
        do throws(PublicationError) {
            try publishing?.run(isContinued: isContinued)
        } catch {
            throw WriteFailure.isLasting(error)
                ? PublicationError.kept(staging: staging, cause: error.description) : error
        }
    }

    /// Checks again that nothing is in the way, lists the staged files, and makes the intent durable.
    private func begin(_ proven: [ProvenFile]) throws(PublicationError) -> PublicationJournal {
        let entries = Directories.entries(below: staging).filter { !$0.path.hasPrefix(".") }
        let names = Set(entries.compactMap { FilePath($0.path).components.first?.string })
        let reasons = try reasons(isStart: false, publishing: names)
        let known = Dictionary(proven.map { ($0.path, $0) }) { first, _ in first }
        var files: [OutputManifest.File] = []
        for (path, status) in entries where status.kind == .file {
            let place = staging.pushing(FilePath(path))
            let found = known[place]
            let digest =
                if let found, found.status == status { found.digest } else { try FileDigest.text(ofFileAt: place) }
            files.append(OutputManifest.File(path: path, byteCount: status.byteCount, digest: digest))
        }
        let manifest = OutputManifest(
            job: job, coordinator: owner.coordinator, publishedAt: Date.now.ISO8601Format(),
            directories: entries.filter { $0.status.kind == .directory }.map(\.path), files: files)
        try writing { () throws(FileError) in
            try WholeFile.write(Array(manifest.text.utf8), to: staging.appending(OutputManifest.fileName))
        }
        let journal = PublicationJournal(manifest: manifest, replaced: try OutputManifest(in: path))
        // From here on the files are kept in every case.
        try journal.write(to: staging)
        guard reasons.isEmpty else {
            let cause = PublicationError.inTheWay(path: path, reasons: reasons).description
            throw .kept(staging: staging, cause: cause)
        }
        return journal
    }

    /// Removes the staging directory of a job whose files are published, and releases the directory.
    ///
    /// - Returns: Files that stay, because they cannot be removed or do not belong to a job.
    @discardableResult
    public func removeStaging() -> [FilePath] {
        var left: [FilePath] = []
        if let journal = (try? PublicationJournal(in: staging)) ?? nil {
            left = Publishing(path: path, staging: staging, journal: journal).removeReplaced()
        }
        release()
        return left
    }

    /// Removes the staged files, unless their publication has begun, and releases the directory.
    ///
    /// A directory that was made for the job is removed too, if it is empty.
    ///
    /// - Returns: The paths of computed files that could not be published and are kept.
    @discardableResult
    public func discard() -> FilePath? {
        defer { release() }
        guard isStaged else { return nil }
        guard isBegun else {
            try? Directories.remove(staging)
            return nil
        }
        if Directories.exists(staging.appending(StagingRecord.kept)) { return staging }
        guard let journal = (try? PublicationJournal(in: staging)) ?? nil else { return staging }
        let publishing = Publishing(path: path, staging: staging, journal: journal)
        if (try? publishing.isDone()) == true {
            _ = publishing.removeReplaced()
            return nil
        }
        publishing.takeBack()
        return staging
    }

    /// Does the clean-up of a job that has ended, and releases its claim.
    ///
    /// It calls ``removeStaging()`` if the job succeeded, else ``discard()``.
    ///
    /// - Parameter hasSucceeded: Whether its files are published.
    /// - Returns: The kept paths; empty when nothing of the job exists, or another job holds the directory.
    @discardableResult
    public func removeRemains(hasSucceeded: Bool) -> [FilePath] {
        guard isStaged || Directories.exists(path.appending(OutputClaim.fileName)) else { return [] }
        guard (try? claim()) != nil else { return [] }
        return hasSucceeded ? removeStaging() : [discard()].compactMap { $0 }
    }
}
