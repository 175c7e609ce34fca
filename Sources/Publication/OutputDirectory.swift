public import FileAccess
import Foundation
import Safetensors
import Synchronization
public import SystemPackage

/// A directory that receives the files of one job, whole and together.
///
/// Files are written to a staging directory within it and get their names at the end, so that a job that fails leaves
/// nothing, and a reader never sees half of one. The job holds the directory from its admission on (``claim()``), so
/// that no other can publish there; and only what an earlier job wrote, and nobody touched since, is replaced.
///
/// Safe to use from any thread.
public final class OutputDirectory: Sendable {
    /// The directory; a link stands for what it leads to.
    public let path: FilePath
    /// Where files are written until the job is done; the same after a restart, and that of no other coordinator.
    public let staging: FilePath

    private let job: String
    private let owner: ClaimOwner
    private let overwrites: Bool
    /// Where it may lie: links may have changed since the job was taken in.
    private let roots: FileRoots
    private let state = Mutex(State())

    private struct State {
        var claim: OutputClaim?
        /// Files of an earlier job that were found as its list has them.
        var verified: [String: FileStatus] = [:]
    }

    /// What begins the names of everything in an output directory that no job publishes.
    static let hiddenPrefix = ".kfacd-"

    /// Names the output of a job; nothing is made.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - job: The job's name, as its coordinator has it.
    ///   - owner: Who publishes there.
    ///   - overwrites: Whether the files of an earlier job are replaced.
    ///   - roots: Where it may lie.
    public init(path: FilePath, job: String, owner: ClaimOwner, overwrites: Bool, roots: FileRoots) {
        self.path = path
        self.job = job
        self.owner = owner
        self.overwrites = overwrites
        self.roots = roots
        staging = path.appending("\(Self.hiddenPrefix)\(job)-\(owner.coordinator)")
    }

    // MARK: - Before the work

    /// What forbids to publish here, as far as it can be known; nothing is made or changed.
    ///
    /// - Parameter files: What will be published.
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
            return try reasons(isStart: true).map { "the output directory \(path) \($0)" }
        } catch {
            return [error.description]
        }
    }

    /// How much room lacks at the moment, in words; `nil` when there is enough.
    ///
    /// - Parameter files: What will be published.
    /// - Returns: A sentence.
    public func shortage(publishing files: [PlannedFile]) -> String? {
        WriteAccess.shortage(of: files, in: path)?.description
    }

    /// What is written besides the files of a job: small, and each at least a block.
    private static let controlFiles = [
        OutputClaim.fileName, OutputManifest.fileName, StagingRecord.fileName, PublicationJournal.fileName,
    ].map { PlannedFile(path: $0, byteCount: 1) }

    private func reasons(isStart: Bool) throws(PublicationError) -> [String] {
        guard FileStatus(of: path, followsLinks: true) != nil else { return [] }
        let names = try writing { () throws(SafetensorsError) in try WholeFile.names(in: path) }
        let present = names.filter { !$0.hasPrefix(Self.hiddenPrefix) }
        if isStart, !overwrites { return present.isEmpty ? [] : [OutputContents.notEmpty(present)] }
        var verified = state.withLock { $0.verified }
        let contents = try OutputContents(of: path, verified: &verified)
        state.withLock { $0.verified = verified }
        return contents.reasons(overwrites: overwrites)
    }

    /// A directory below what another job publishes is replaced with it.
    private func outerProblem() -> String? {
        var inner = path
        while let name = inner.lastComponent?.string {
            inner.removeLastComponent()
            guard OutputContents.entries.contains(name), let holder = OutputClaim.holder(of: inner) else { continue }
            return "the output directory \(path) lies in that of \(holder.holder), which is running. Choose another."
        }
        return nil
    }

    /// Makes the directory and takes it for the job, until ``discard()`` or ``removeStaging()``; what interrupted jobs
    /// of owners that are gone have left there is finished or removed.
    ///
    /// - Throws: ``PublicationError/held(path:holder:)`` when another job has it,
    ///   ``PublicationError/inTheWay(path:reasons:)`` when an interrupted publication was finished, or what keeps it
    ///   from being written to; nothing was made then.
    public func claim() throws(PublicationError) {
        guard state.withLock({ $0.claim }) == nil else { return }
        do { try roots.requireInside(path) } catch {
            throw .inTheWay(path: path, reasons: ["cannot be used: \(error)"])
        }
        let made = try placing { () throws(FileAccessError) in try Directories.create(path, isDurable: true) }
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

    /// Whoever has the claim is alone: every other staging directory is of a job that ended or was interrupted.
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
            // It failed to be published, and is kept, unless names have changed already.
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

    /// Lets go of the directory.
    private func release() {
        let claim = state.withLock { state in
            defer { state.claim = nil }
            return state.claim
        }
        claim?.release()
        Directories.removeEmpty((claim?.record.made ?? []).map { FilePath($0) })
    }

    // MARK: - Staging

    /// Makes a subdirectory of the staging directory, with all that lies above it; what a crash left half-written there
    /// is removed, since it would be published with the rest.
    ///
    /// - Throws: ``PublicationError`` when it cannot be made or read, `FileRootsError` when it would lie elsewhere.
    public func stage(_ components: String...) throws -> FilePath {
        var path = FilePath("")
        for component in components { path.append(component) }
        return try stage(at: path)
    }

    /// Makes a subdirectory of the staging directory, by its path within it.
    ///
    /// - Throws: As ``stage(_:)``.
    public func stage(at path: FilePath) throws -> FilePath {
        let directory = path.isEmpty ? staging : staging.pushing(path)
        try roots.requireInside(directory)
        _ = try placing { () throws(FileAccessError) in try Directories.create(directory, isDurable: true) }
        try roots.requireInside(directory)
        try StagingRecord.write(to: staging)
        try placing { () throws(FileAccessError) in try Directories.synchronize(self.path) }
        try WholeFile.removeStalePartials(in: directory)
        return directory
    }

    /// Whether everything is staged and its publication has begun: ``publish()`` goes on with it.
    var isBegun: Bool { Directories.exists(staging.appending(PublicationJournal.fileName)) }

    /// Whether a publication has begun and can be gone on with: each new file is there as it was listed.
    ///
    /// Where that is not so, the names are given back to what stood there, and it has not begun any more: what was
    /// staged is to be looked at, and what is not as it was written is to be staged again.
    ///
    /// - Throws: ``PublicationError`` when files cannot be read.
    public func canGoOn() throws(PublicationError) -> Bool {
        guard let journal = try PublicationJournal(in: staging) else { return false }
        let publishing = Publishing(path: path, staging: staging, journal: journal)
        guard try publishing.lost() != nil else { return true }
        publishing.takeBack()
        for name in [StagingRecord.kept, PublicationJournal.fileName] {
            try placing { () throws(FileAccessError) in try Directories.remove(staging.appending(name)) }
        }
        return false
    }

    /// Whether there is a staging directory.
    public var isStaged: Bool { Directories.exists(staging) }

    /// The rows of the journal up to this one speak of files that are not staged any more.
    ///
    /// Zero unless ``renew(after:)`` made the staging directory, `nil` when there is none.
    public var lastUnusableRow: Int64? {
        guard isStaged else { return nil }
        guard let text = try? TextFile.read(staging.appending(StagingRecord.renewal), limit: 64) else { return 0 }
        return Int64(text) ?? 0
    }

    /// Makes the staging directory anew and notes which rows came before, for the next restart: by then some of the
    /// files may be there again, and others not yet.
    ///
    /// - Throws: As ``stage(_:)``.
    public func renew(after row: Int64) throws {
        try WholeFile.write(Array("\(row)".utf8), to: try stage().appending(StagingRecord.renewal))
    }

    // MARK: - Publishing

    /// Gives the staged files their names, and what they replace a place in the staging directory.
    ///
    /// After a crash it goes on where it stopped, and when all is done it does nothing. The staging directory stays
    /// until ``removeStaging()``, when it is durable that the job has ended.
    ///
    /// - Parameter proven: Staged files whose digests the caller has just found; they are not read again unless touched
    ///   since.
    /// - Throws: ``PublicationError/kept(staging:cause:)`` when something is in the way; the new files stay staged, and
    ///   the old ones stand. ``PublicationError`` with the failed call when another attempt may succeed.
    public func publish(proven: [ProvenFile] = []) throws {
        try publish(by: .atomic, proven: proven) { (_: String) throws(PublicationError) in }
    }

    /// Publishes with a way of exchanging names, and something to do before each step.
    ///
    /// - Throws: As ``publish()``.
    func publish(
        by way: Rename.Exchange, proven: [ProvenFile] = [],
        onStep: @escaping (String) throws(PublicationError) -> Void
    ) throws {
        guard isStaged else { throw PublicationError.vanished(staging: staging) }
        try roots.requireInside(staging)
        try placing { () throws(FileAccessError) in try Directories.remove(staging.appending(StagingRecord.kept)) }
        do throws(PublicationError) { try exchange(by: way, proven, onStep: onStep) } catch {
            // From now on the names are others': what was computed stays as it is.
            if case .kept = error { StagingRecord.markKept(staging) }
            throw error
        }
        try placing { () throws(FileAccessError) in
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
            // An attempt that was taken back begins anew, with another look at what is in the way.
            let isWhole = try earlier.isWhole()
            if !isWhole { publishing = earlier }
        }
        let isContinued = publishing != nil
        if publishing == nil {
            _ = try writing { () throws(SafetensorsError) in try WholeFile.removeStalePartials(in: staging) }
            publishing = Publishing(path: path, staging: staging, journal: try begin(proven), way: way, onStep: onStep)
        }
        do throws(PublicationError) {
            try publishing?.run(isContinued: isContinued)
        } catch {
            throw WriteFailure.isLasting(error)
                ? PublicationError.kept(staging: staging, cause: error.description) : error
        }
    }

    /// Proves once more that nothing is in the way, lists what is staged, and makes the intent durable.
    private func begin(_ proven: [ProvenFile]) throws(PublicationError) -> PublicationJournal {
        let reasons = try reasons(isStart: false)
        let entries = Directories.entries(below: staging).filter { !$0.path.hasPrefix(".") }
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
        try writing { () throws(SafetensorsError) in
            try WholeFile.write(Array(manifest.text.utf8), to: staging.appending(OutputManifest.fileName))
        }
        let journal = PublicationJournal(manifest: manifest, replaced: try OutputManifest(in: path))
        // From here on the files are kept, whatever happens.
        try journal.write(to: staging)
        guard reasons.isEmpty else {
            let cause = PublicationError.inTheWay(path: path, reasons: reasons).description
            throw .kept(staging: staging, cause: cause)
        }
        return journal
    }

    /// Removes the staging directory of a job whose files are published, and lets go of the directory.
    ///
    /// - Returns: Files that stay, since they cannot be removed or are not of a job.
    @discardableResult
    public func removeStaging() -> [FilePath] {
        var left: [FilePath] = []
        if let journal = (try? PublicationJournal(in: staging)) ?? nil {
            left = Publishing(path: path, staging: staging, journal: journal).removeReplaced()
        }
        release()
        return left
    }

    /// Removes what was staged, unless its publication has begun, and lets go of the directory; a directory that was
    /// made for the job goes too, when nothing else is in it.
    ///
    /// - Returns: Where files are kept that were computed and could not be published.
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

    /// Does what a job that has ended would have done at its end, and lets go of its claim.
    ///
    /// That is ``removeStaging()`` when it succeeded, ``discard()`` when not.
    ///
    /// - Parameter hasSucceeded: Whether its files are published.
    /// - Returns: What is kept; nothing when there is nothing of the job, or another has the directory.
    @discardableResult
    public func removeRemains(hasSucceeded: Bool) -> [FilePath] {
        guard isStaged || Directories.exists(path.appending(OutputClaim.fileName)) else { return [] }
        guard (try? claim()) != nil else { return [] }
        return hasSucceeded ? removeStaging() : [discard()].compactMap { $0 }
    }
}
