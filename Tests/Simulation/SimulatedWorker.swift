import Identifiers
import JobPlan
import OrderedCollections
import Scheduling

/// A worker process as it would behave: it computes what it has begun whatever it is told, and forgets what it cannot
/// hold.
struct SimulatedWorker {
    /// What a unit reads: blobs by name, and numbers.
    struct Inputs: Hashable {
        var blobs: [BlobDigest]
        var numbers: [[Double]]
    }

    /// A unit as a worker gets it.
    struct Lease {
        var lease: LeasedUnit
        var job: Int
        var inputs: Inputs
    }

    /// A unit on a lane.
    struct Computation {
        var lease: Lease
        var token: Int
        /// Inputs that the coordinator was asked for, and when.
        var missing: OrderedDictionary<BlobDigest, Int> = [:]
        var isComputing = false
        /// It never ends, until the world is kind again.
        var isStuck = false
        var steps: UInt64 = 0
    }

    /// A blob in the worker's store.
    struct Blob {
        var byteCount: UInt64
        /// Its bytes are no longer what its name says.
        var isDamaged = false
    }

    let id: WorkerID
    let capacity: WorkerCapacity
    /// Blobs that its store has room for.
    var storeCapacity: Int
    var store: OrderedDictionary<BlobDigest, Blob> = [:]
    var queue: [Lease] = []
    var computing: [Computation] = []
    var connection = 0
    var isWelcome = false
    var isAlive = true
    var isDraining = false
    /// The process is stopped until then: it neither computes nor hears.
    var stalledUntil = 0
    /// Nothing of what it says arrives until then.
    var cutUpUntil = 0
    /// Nothing of what it is told arrives until then.
    var cutDownUntil = 0
    var diskFullUntil = 0
    /// How much longer than others it computes.
    var slowness = 1

    var usedDigests: Set<BlobDigest> {
        Set(computing.flatMap(\.lease.inputs.blobs)).union(queue.flatMap(\.inputs.blobs))
    }

    /// Blobs that have to go so that the store is no larger than it may be: the oldest that nothing under way reads.
    mutating func evict() -> [BlobDigest] {
        guard store.count > storeCapacity else { return [] }
        let used = usedDigests
        let gone = store.keys.filter { !used.contains($0) }.prefix(store.count - storeCapacity)
        for blob in gone { store[blob] = nil }
        return Array(gone)
    }
}
