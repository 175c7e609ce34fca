import Identifiers
import JobPlan
import OrderedCollections

/// What workers were given: it tells a late word from a forged one.
///
/// A worker may speak of what it was given in this life of the coordinator, whatever became of it. A worker that comes
/// back from an earlier life may also speak of what it had then: no more than it can hold at once.
/// Bound: ``workersMax`` workers, of which the one whose latest lease is the oldest is forgotten; of each, and of both
/// kinds, what ``keptCount(lanes:)`` says.
struct GivenLeases {
    /// What is to be made of a word about a unit.
    enum Verdict: Equatable {
        /// The worker was given it, or may have been in an earlier life.
        case given
        /// It concerns nothing that there still is; it may be from an earlier life.
        case outdated
        /// Nobody gave it.
        case forged
    }

    private struct Record {
        var units: OrderedSet<LeasedUnit> = []
        var blobs: OrderedSet<BlobDigest> = []
        /// Of an earlier life, as far as the worker spoke of it.
        var earlier: Set<LeasedUnit> = []
        var earlierBlobs: Set<BlobDigest> = []
        /// Whether something was forgotten, or given before this life began.
        var isIncomplete = false
        var isFromEarlierLife = false
        var keptCount = GivenLeases.keptCount(lanes: 1)
    }

    static let workersMax = 4096
    private var records: OrderedDictionary<WorkerID, Record> = [:]

    /// How much is remembered of a worker: several times of what it can have at once.
    static func keptCount(lanes: Int) -> Int { 4 * (lanes + 62) }

    /// A worker greeted.
    ///
    /// - Parameters:
    ///   - worker: The worker.
    ///   - lanes: How many units it computes at once.
    ///   - isReturn: Whether it has had another connection, or spoke before it greeted.
    mutating func greet(_ worker: WorkerID, lanes: Int, isReturn: Bool) {
        let isKnown = records[worker] != nil
        change(worker) { record in
            record.keptCount = Self.keptCount(lanes: lanes)
            if !isKnown, isReturn { record.isFromEarlierLife = true }
        }
    }

    /// A worker is given a unit.
    mutating func give(_ unit: LeasedUnit, to worker: WorkerID) {
        change(worker) { record in
            record.units.remove(unit)
            record.units.append(unit)
            guard record.units.count > record.keptCount else { return }
            record.units.removeFirst()
            record.isIncomplete = true
        }
    }

    /// A worker is asked for a blob.
    mutating func ask(for blob: BlobDigest, of worker: WorkerID) {
        change(worker) { record in
            record.blobs.remove(blob)
            record.blobs.append(blob)
            guard record.blobs.count > record.keptCount else { return }
            record.blobs.removeFirst()
            record.isIncomplete = true
        }
    }

    /// What is to be made of a worker's word about a unit.
    ///
    /// - Parameters:
    ///   - unit: The unit and its attempt.
    ///   - worker: Who speaks.
    ///   - isPossible: Whether the attempt was given for its job in this life or an earlier one; `nil` when no such
    ///     job runs.
    ///   - isResumed: Whether the job was taken up from the journal.
    /// - Returns: Whether the word has an effect, has none, or cannot be right.
    mutating func judge(
        _ unit: LeasedUnit, of worker: WorkerID, isPossible: Bool?, isResumed: Bool
    ) -> Verdict {
        guard var record = records[worker] else { return .forged }
        if record.units.contains(unit) { return .given }
        if record.isIncomplete {
            guard let isPossible else { return .outdated }
            return isPossible ? .given : .forged
        }
        // Of a job that began in this life it was told nothing in an earlier one.
        guard record.isFromEarlierLife, isResumed || isPossible != true else { return .forged }
        if !record.earlier.contains(unit) {
            guard record.earlier.count < record.keptCount else { return .forged }
            record.earlier.insert(unit)
            records[worker] = record
        }
        return isPossible == true ? .given : .outdated
    }

    /// Whether a worker may speak of a blob that it is to send.
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
        // Behind the others: the first is the one that was given something least lately.
        var record = records.removeValue(forKey: worker) ?? Record()
        body(&record)
        records[worker] = record
        if records.count > Self.workersMax { records.removeFirst() }
    }
}
