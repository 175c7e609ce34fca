public import Identifiers
import SystemPackage

/// What has been pushed of a run, for people.
public struct RunSummary: Equatable, Sendable {
    /// The run.
    public var run: RunName
    /// Who pushed, sorted.
    public var senders: [String]
    /// The number of ranks that have a file.
    public var rankCount: Int
    /// Files that are whole.
    public var wholeCount: Int
    /// Files of which some bytes have not arrived.
    public var unfinishedCount: Int
    /// Ranks and sequences that are missing below the last.
    public var missingCount: Int
    /// Bytes that have arrived.
    public var arrivedBytes: UInt64
    /// Bytes of all files when they are whole.
    public var announcedBytes: UInt64
    /// Seconds since the first file was announced.
    public var age: Double
    /// Seconds since the last sign of life.
    public var idle: Double
    /// Jobs that use the run.
    public var jobs: [JobID]
}

/// A run in the store.
struct StoredRun {
    /// A part.
    struct Part {
        var content: BlobReference
        var arrived: UInt64
        var isWhole: Bool
        var sender: String
    }

    /// Rows that workers sum for a file.
    struct Streamed {
        /// The most bytes of the file.
        var byteCount: UInt64
        var sender: String
    }

    let directory: FilePath
    /// The files for which rows are being summed; a place is never in ``parts`` too.
    var streams: [PartialsPlace: Streamed] = [:]
    var parts: [PartialsPlace: Part] = [:]
    /// Seconds since 1970: the first announcement, and the last sign of life.
    var beganAt: Double
    var lastActivity: Double
    /// The names of the files that jobs use.
    var holds: [JobID: [String]] = [:]
    /// The checks and jobs of this process that use it.
    var readers = 0

    var isHeld: Bool { readers > 0 || !holds.isEmpty }
    /// Bytes of all parts when they are whole.
    var announcedBytes: UInt64 {
        parts.values.reduce(0) { $0 + $1.content.byteCount } + streams.values.reduce(0) { $0 + $1.byteCount }
    }
    /// Files that are whole, or may become so.
    var fileCount: Int { parts.count + streams.count }

    func path(_ place: PartialsPlace, _ digest: BlobDigest, _ kind: PartFileName.Kind) -> FilePath {
        directory.appending(PartFileName(place, digest, kind).text)
    }

    func summary(_ name: RunName, at now: Double) -> RunSummary {
        let whole = parts.filter(\.value.isWhole)
        let sequences = Dictionary(grouping: whole.keys, by: \.rank).mapValues { $0.map(\.sequence) }
        // Numbers are below 2^31 and files are bounded, so the sums cannot overflow.
        let gaps = sequences.values.reduce(0) { $0 + ($1.max() ?? 0) + 1 - $1.count }
        let ranks = sequences.isEmpty ? 0 : (sequences.keys.max() ?? 0) + 1 - sequences.count
        return RunSummary(
            run: name, senders: Set(parts.values.map(\.sender) + streams.values.map(\.sender)).sorted(),
            rankCount: Set(parts.keys.map(\.rank) + streams.keys.map(\.rank)).count,
            wholeCount: whole.count, unfinishedCount: fileCount - whole.count,
            missingCount: gaps + ranks, arrivedBytes: parts.values.reduce(0) { $0 + $1.arrived },
            announcedBytes: announcedBytes, age: max(0, now - beganAt), idle: max(0, now - lastActivity),
            jobs: holds.keys.sorted())
    }
}
