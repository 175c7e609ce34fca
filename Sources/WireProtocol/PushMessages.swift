public import Identifiers

/// A client's wish to push what a rank of a run has summed up to one flush.
public struct PushOffer: Equatable, Sendable {
    /// How the sums come.
    public enum Content: Equatable, Sendable {
        /// As a file of partial sums of this size and digest.
        case file(BlobReference)
        /// As rows.
        case rows(RowStreamOffer)
    }

    /// The run.
    public var run: RunName
    /// Rank and sequence.
    public var place: PartialsPlace
    /// The client's machine, for people.
    public var host: String
    /// How the sums come.
    public var content: Content

    /// Announces sums.
    public init(run: RunName, place: PartialsPlace, host: String, content: Content) {
        self.run = run
        self.place = place
        self.host = host
        self.content = content
    }

    init(_ wire: WirePushOffer) throws(WireError) {
        run = RunName(rawValue: wire.run)
        guard run.isValid else {
            throw .malformed("\"\(wire.run.excerpt)\" cannot name a run; expected \(RunName.requirement)")
        }
        place = PartialsPlace(
            rank: try count(wire.rank, "a rank", most: PartialsPlace.numberMax - 1),
            sequence: try count(wire.sequence, "a sequence", most: PartialsPlace.numberMax - 1))
        host = wire.host.excerpt
        switch wire.content {
        case .file(let blob): content = .file(try BlobReference(blob))
        case .rows(let stream): content = .rows(try RowStreamOffer(stream))
        case nil: throw .malformed("an offer does not say how the sums come")
        }
    }

    var wire: WirePushOffer {
        var wire = WirePushOffer()
        wire.run = run.rawValue
        wire.rank = UInt32(place.rank)
        wire.sequence = UInt32(place.sequence)
        wire.host = host
        switch content {
        case .file(let blob): wire.file = blob.wire
        case .rows(let stream): wire.rows = stream.wire
        }
        return wire
    }
}

/// How far a push has come: the answer to an offer and to each chunk.
public struct PushState: Equatable, Sendable {
    /// The bytes that have arrived; of a file, the next chunk begins here.
    public var offset: UInt64
    /// The chunks that may be on their way without an answer.
    public var credit: Int
    /// Whether the file is whole, checked and durable, so that nothing more is sent.
    public var isWhole: Bool

    /// Reports a push.
    public init(offset: UInt64, credit: Int, isWhole: Bool) {
        self.offset = offset
        self.credit = credit
        self.isWhole = isWhole
    }

    init(_ wire: WirePushState) throws(WireError) {
        self.init(
            offset: wire.offset, credit: try count(wire.credit, "a credit", most: 1 << 16), isWhole: wire.isWhole)
    }

    var wire: WirePushState {
        var wire = WirePushState()
        wire.offset = offset
        wire.credit = UInt32(credit)
        wire.isWhole = isWhole
        return wire
    }
}

/// The runs that clients pushed.
public struct RunList: Equatable, Sendable {
    /// The runs, by name.
    public var runs: [RunReport]
    /// Bytes of all runs, those that were announced and have not arrived included.
    public var byteCount: UInt64
    /// The most bytes of all runs.
    public var byteCountMax: UInt64

    /// Lists runs.
    public init(runs: [RunReport], byteCount: UInt64, byteCountMax: UInt64) {
        self.runs = runs
        self.byteCount = byteCount
        self.byteCountMax = byteCountMax
    }

    init(_ wire: WireRunList) throws(WireError) {
        self.init(
            runs: try list(wire.runs, "the list of runs") { run throws(WireError) in try RunReport(run) },
            byteCount: wire.byteCount, byteCountMax: wire.byteCountMax)
    }

    var wire: WireRunList {
        var wire = WireRunList()
        wire.runs = runs.map(\.wire)
        wire.byteCount = byteCount
        wire.byteCountMax = byteCountMax
        return wire
    }
}

/// What has been pushed of a run, for clients.
public struct RunReport: Equatable, Sendable {
    /// The run.
    public var run: RunName
    /// Who pushed.
    public var senders: [String]
    /// Ranks that have a file.
    public var ranks: Int
    /// Files that are whole.
    public var files: Int
    /// Files of which some bytes have not arrived.
    public var unfinishedFiles: Int
    /// Ranks and sequences that are missing below the last.
    public var missing: Int
    /// Bytes that have arrived.
    public var arrivedBytes: UInt64
    /// Bytes of all files when they are whole.
    public var announcedBytes: UInt64
    /// Seconds since the first file was announced.
    public var ageSeconds: Double
    /// Seconds since the last sign of life.
    public var idleSeconds: Double
    /// Jobs that use the run.
    public var jobs: [JobID]

    /// Reports a run.
    public init(
        run: RunName, senders: [String], ranks: Int, files: Int, unfinishedFiles: Int, missing: Int,
        arrivedBytes: UInt64, announcedBytes: UInt64, ageSeconds: Double, idleSeconds: Double, jobs: [JobID]
    ) {
        self.run = run
        self.senders = senders
        self.ranks = ranks
        self.files = files
        self.unfinishedFiles = unfinishedFiles
        self.missing = missing
        self.arrivedBytes = arrivedBytes
        self.announcedBytes = announcedBytes
        self.ageSeconds = ageSeconds
        self.idleSeconds = idleSeconds
        self.jobs = jobs
    }

    /// Whether all files that are known or missing below the last are whole.
    public var isComplete: Bool { unfinishedFiles == 0 && missing == 0 }

    init(_ wire: WireRunStatus) throws(WireError) {
        self.init(
            run: RunName(rawValue: wire.run), senders: wire.senders,
            ranks: try count(wire.ranks, "a number of ranks"), files: try count(wire.files, "a number of files"),
            unfinishedFiles: try count(wire.unfinishedFiles, "a number of files"),
            missing: try count(wire.missing, "a number of missing files", most: 1 << 60),
            arrivedBytes: wire.arrivedBytes, announcedBytes: wire.announcedBytes,
            ageSeconds: try seconds(wire.ageSeconds), idleSeconds: try seconds(wire.idleSeconds),
            jobs: wire.jobs.map(JobID.init(rawValue:)))
    }

    var wire: WireRunStatus {
        var wire = WireRunStatus()
        wire.run = run.rawValue
        wire.senders = senders
        wire.ranks = UInt32(ranks)
        wire.files = UInt32(files)
        wire.unfinishedFiles = UInt32(unfinishedFiles)
        wire.missing = UInt64(missing)
        wire.arrivedBytes = arrivedBytes
        wire.announcedBytes = announcedBytes
        wire.ageSeconds = ageSeconds
        wire.idleSeconds = idleSeconds
        wire.jobs = jobs.map(\.rawValue)
        return wire
    }
}
