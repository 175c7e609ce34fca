import Identifiers
import OrderedCollections
import UnitOperations

/// The units in progress by their kind, the longest first, so that stragglers are found without a walk over all leases.
///
/// Units of one kind are expected to take equally long. So none of them is a straggler before the first one.
/// Some leases may have ended; they are removed when they come first. Bound: the leases of running jobs.
struct StartedUnits: Sendable {
    /// Units that are expected to take equally long.
    struct Kind: Hashable, Sendable {
        var job: JobID
        var stage: UnitStage
        var nominalSeconds: Double
    }

    /// A lease whose computation has started.
    struct Start: Comparable, Sendable {
        var instant: SchedulerInstant
        var unit: UnitReference
        var attempt: Attempt
        var worker: WorkerID

        static func < (left: Start, right: Start) -> Bool {
            if left.instant != right.instant { return left.instant < right.instant }
            if left.unit.unit != right.unit.unit { return left.unit.unit < right.unit.unit }
            return left.attempt < right.attempt
        }
    }

    private var starts: OrderedDictionary<Kind, SortedParts<Start>> = [:]

    /// Whether no unit is remembered.
    var isEmpty: Bool { starts.isEmpty }
    var kinds: [Kind] { Array(starts.keys) }

    mutating func note(_ start: Start, of kind: Kind) { starts[kind, default: SortedParts()].insert(start) }

    /// The unit of a kind that has been in progress for the longest time; forgets those before it that have ended.
    mutating func first(of kind: Kind, isInProgress: (Start) -> Bool) -> Start? {
        while let first = starts[kind]?.first {
            if isInProgress(first) { return first }
            starts[kind]?.remove(first)
        }
        return nil
    }

    /// Forgets a job that has ended.
    mutating func remove(_ job: JobID) { starts.removeAll { $0.key.job == job } }
}
