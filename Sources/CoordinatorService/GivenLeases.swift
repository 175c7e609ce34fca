import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations
import WireProtocol

/// Remembers what workers were given, to tell a late message from a forged one.
///
/// A worker may report on what it was given in this life of the coordinator, whatever became of it. A worker from an
/// earlier life may also report on what it had then, but on no more than it can hold at once.
///
/// Bound: ``workersMax`` workers. For a new one, the worker whose latest lease is the oldest is forgotten. For each
/// worker, ``keptCount(lanes:)`` bounds the entries of either kind.
struct GivenLeases {
    /// The judgement of a message about a unit.
    enum Verdict: Equatable {
        /// The worker was given the unit, or may have been in an earlier life.
        case given
        /// The message is about something that no longer exists; it may be from an earlier life.
        case outdated
        /// Nobody gave the unit to the worker.
        case forged
    }

    private struct Record {
        var units: OrderedSet<LeasedUnitName> = []
        var blobs: OrderedSet<BlobDigest> = []
        /// Units of an earlier life that the worker has reported on.
        var earlier: Set<LeasedUnitName> = []
        var earlierBlobs: Set<BlobDigest> = []
        /// Whether something was forgotten, or was given before this life began.
        var isIncomplete = false
        var isFromEarlierLife = false
        var keptCount = GivenLeases.keptCount(lanes: 1)
    }

    static let workersMax = 4096
    private var records: OrderedDictionary<WorkerID, Record> = [:]

    /// The number of entries for a worker: several times what it can have at once.
    static func keptCount(lanes: Int) -> Int { 4 * (lanes + 62) }

    /// Notes a worker's greeting.
    ///
    /// - Parameters:
    ///   - worker: The worker.
    ///   - lanes: How many units it computes at once.
    ///   - isReturn: Whether the worker has had another connection, or sent a message before its greeting.
    mutating func greet(_ worker: WorkerID, lanes: Int, isReturn: Bool) {
        let isKnown = records[worker] != nil
        change(worker) { record in
            record.keptCount = Self.keptCount(lanes: lanes)
            if !isKnown, isReturn { record.isFromEarlierLife = true }
        }
    }

    /// Notes that a worker was given a unit.
    mutating func give(_ unit: LeasedUnitName, to worker: WorkerID) {
        change(worker) { record in
            record.units.remove(unit)
            record.units.append(unit)
            guard record.units.count > record.keptCount else { return }
            record.units.removeFirst()
            record.isIncomplete = true
        }
    }

    /// Notes that a worker was asked for a blob.
    mutating func ask(for blob: BlobDigest, of worker: WorkerID) {
        change(worker) { record in
            record.blobs.remove(blob)
            record.blobs.append(blob)
            guard record.blobs.count > record.keptCount else { return }
            record.blobs.removeFirst()
            record.isIncomplete = true
        }
    }

    /// Judges a worker's message about a unit.
    ///
    /// - Parameters:
    ///   - unit: The unit and its attempt.
    ///   - worker: The sender.
    ///   - isPossible: Whether the attempt was given for its job in this life or an earlier one; `nil` when no such job
    ///     runs.
    ///   - isResumed: Whether the job was resumed from the journal.
    /// - Returns: Whether the message has an effect, has none, or cannot be right.
    mutating func judge(
        _ unit: LeasedUnitName, of worker: WorkerID, isPossible: Bool?, isResumed: Bool
    ) -> Verdict {
        guard var record = records[worker] else { return .forged }
        if record.units.contains(unit) { return .given }
        if record.isIncomplete {
            guard let isPossible else { return .outdated }
            return isPossible ? .given : .forged
        }
        // A job that began in this life was unknown in an earlier one.
        guard record.isFromEarlierLife, isResumed || isPossible != true else { return .forged }
        if !record.earlier.contains(unit) {
            guard record.earlier.count < record.keptCount else { return .forged }
            record.earlier.insert(unit)
            records[worker] = record
        }
        return isPossible == true ? .given : .outdated
    }

    /// Whether a worker may report on a blob that it must send.
    mutating func wasAsked(for blob: BlobDigest, of worker: WorkerID) -> Bool {
        guard var record = records[worker] else { return false }
        if record.blobs.contains(blob) || record.isIncomplete || record.earlierBlobs.contains(blob) { return true }
        guard record.isFromEarlierLife, record.earlierBlobs.count < record.keptCount else { return false }
        record.earlierBlobs.insert(blob)
        records[worker] = record
        return true
    }

    /// Whether a worker may read what a job's units read.
    func mayRead(of job: JobID?, _ worker: WorkerID) -> Bool {
        guard let record = records[worker] else { return false }
        if record.isIncomplete || record.isFromEarlierLife { return true }
        guard let job else { return !record.units.isEmpty }
        return record.units.contains { $0.unit.job == job }
    }

    private mutating func change(_ worker: WorkerID, _ body: (inout Record) -> Void) {
        // The worker moves to the end, so that the first entry has the oldest latest lease.
        var record = records.removeValue(forKey: worker) ?? Record()
        body(&record)
        records[worker] = record
        if records.count > Self.workersMax { records.removeFirst() }
    }
}
