import Identifiers
import JobPlan
import UnitOperations

/// Where the results of workers go.
struct ResultRoutes {
    /// Bytes of each unit's results that are written in their places in staged files.
    let placed: [UInt64]
    /// Bytes of each unit's results that stay in the store of the worker that made them.
    let stored: [UInt64]
    /// Bytes of each unit's results that are sent to the coordinator's store.
    let sent: [UInt64]

    /// Follows a plan's results on a machine whose workers see the staged files.
    ///
    /// The coordinator collects what it merges into the checkpoint. What nobody needs beside its file is in no store.
    init(of plan: JobPlan) {
        var merged: Set<UnitOutput> = []
        var inFiles: Set<UnitOutput> = []
        for unit in plan.units {
            switch unit.work {
            case .worker: continue
            case .coordinator(.mergeCheckpoint): merged.formUnion(plan.blobs(readBy: unit))
            case .coordinator: inFiles.formUnion(plan.blobs(readBy: unit))
            }
        }
        placed = Self.bytes(of: inFiles, in: plan)
        sent = Self.bytes(of: merged, in: plan)
        let onlyInFiles = Self.bytes(of: plan.outputsForFilesAlone, in: plan)
        stored = zip(plan.units, onlyInFiles).map { unit, bytes in
            unit.isForWorker ? unit.cost.outputBytes - min(bytes, unit.cost.outputBytes) : 0
        }
    }

    private static func bytes(of outputs: Set<UnitOutput>, in plan: JobPlan) -> [UInt64] {
        var bytes = [UInt64](repeating: 0, count: plan.units.count)
        for output in outputs {
            bytes[output.unit.position] &+= plan.units[output.unit.position].byteCount(ofBlob: output.position)
        }
        return bytes
    }
}
