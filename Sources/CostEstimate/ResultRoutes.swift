import Identifiers
import JobPlan
import UnitOperations

/// Where the results of workers go, beside the store of the worker that made them.
struct ResultRoutes {
    /// Bytes of each unit's results that are written in their places in staged files.
    let placed: [UInt64]
    /// Bytes of each unit's results that are sent to the coordinator's store.
    let sent: [UInt64]
    /// Whether a worker writes each unit's results as whole squares, where their places are squares.
    let mirrored: [Bool]
    /// Bytes of the triangles of each file of which the coordinator writes the squares.
    let unmirrored: [UInt64]

    /// The largest triangle that a worker mirrors; of a larger one it writes the lower half of the square.
    private static let mirroredBytesMax: UInt64 = 40 << 20

    /// Follows a plan's results on a machine whose workers see the staged files.
    ///
    /// The coordinator collects what it merges into the checkpoint. It also collects what workers read after a file has
    /// it, because a worker's store may lose it.
    init(of plan: JobPlan) {
        var readByWorkers: Set<UnitOutput> = []
        var merged: Set<UnitOutput> = []
        var inFiles: Set<UnitOutput> = []
        for unit in plan.units {
            switch unit.work {
            case .worker: readByWorkers.formUnion(unit.inputs)
            case .coordinator(.mergeCheckpoint): merged.formUnion(plan.blobs(readBy: unit))
            case .coordinator: inFiles.formUnion(plan.blobs(readBy: unit))
            }
        }
        placed = Self.bytes(of: inFiles, in: plan)
        let blobBytes = plan.units.map { $0.cost.outputBytes / UInt64(max(1, $0.blobCount)) }
        mirrored = blobBytes.map { $0 <= Self.mirroredBytesMax }
        unmirrored = plan.units.map { unit in
            unit.isForWorker
                ? 0
                : plan.blobs(readBy: unit).reduce(0) { sum, output in
                    let bytes = blobBytes[output.unit.position]
                    return bytes > Self.mirroredBytesMax ? sum &+ bytes : sum
                }
        }
        sent = Self.bytes(of: merged.union(inFiles.intersection(readByWorkers)), in: plan)
    }

    private static func bytes(of outputs: Set<UnitOutput>, in plan: JobPlan) -> [UInt64] {
        var bytes = [UInt64](repeating: 0, count: plan.units.count)
        for output in outputs {
            let unit = plan.units[output.unit.position]
            bytes[output.unit.position] &+= unit.cost.outputBytes / UInt64(max(1, unit.blobCount))
        }
        return bytes
    }
}
