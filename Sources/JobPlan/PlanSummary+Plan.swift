public import Identifiers
import OrderedCollections
import UnitOperations

extension PlanSummary {
    /// Sums up a plan by stages, in the order of their first units.
    ///
    /// - Parameters:
    ///   - plan: The plan.
    ///   - known: Units whose results are known, so that they need no computation. Only a coordinator knows any.
    public init(of plan: JobPlan, known: Set<UnitIndex> = []) {
        var stages: OrderedDictionary<UnitStage, Stage> = [:]
        for unit in plan.units {
            let cost = unit.cost
            var stage =
                stages[unit.stage]
                ?? Stage(
                    name: unit.stage.title, units: 0, multiplyAdds: 0, inputBytes: 0, outputBytes: 0, memoryBytesMax: 0)
            stage.units += 1
            if known.contains(unit.index) { stage.knownUnits += 1 }
            stage.multiplyAdds += cost.multiplyAdds
            stage.inputBytes += cost.inputBytes
            stage.outputBytes += cost.outputBytes
            stage.memoryBytesMax = max(stage.memoryBytesMax, cost.memoryBytes)
            stages[unit.stage] = stage
        }
        let linear = plan.blocks.count { $0.factors.count == 2 }
        self.init(
            stages: Array(stages.values), largestUnit: plan.largestWorkerUnit?.title ?? "",
            layers: linear, parameters: plan.blocks.count - linear, tasks: plan.spec.tasks.count,
            wireBytes: plan.wireBytes, diskBytes: plan.diskBytes, regularizer: plan.regularizerForm,
            notices: plan.notices)
    }
}

extension JobPlan {
    /// Bytes that cross the network when workers see the input files: the blobs of the output files.
    ///
    /// Blobs that workers read from each other are not counted. They occur when several workers share a layer's units.
    fileprivate var wireBytes: UInt64 {
        units.filter { !$0.isForWorker }.flatMap { blobs(readBy: $0) }.reduce(0) { $0 &+ byteCount(of: $1) }
    }

    /// The bytes of one output of a unit.
    private func byteCount(of output: UnitOutput) -> UInt64 {
        let unit = units[output.unit.position]
        return unit.cost.outputBytes / UInt64(max(1, unit.blobCount))
    }

    /// The regularizer's form, such as `optimal of rank 2` or `accumulated`; empty without a regularizer.
    fileprivate var regularizerForm: String {
        let regularizer = spec.curvature.regularizer
        guard !targets.isEmpty else { return "" }
        guard regularizer.form == .optimal else { return regularizer.form.rawValue }
        return "\(regularizer.form.rawValue) of rank \(regularizer.termCount ?? 1)"
    }

    /// Bytes of the files that the job writes.
    fileprivate var diskBytes: UInt64 {
        units.reduce(0) { sum, unit in
            switch unit.work {
            case .coordinator(.assembleFactors), .coordinator(.assembleRegularizer), .coordinator(.assembleInverses),
                .coordinator(.mergeCheckpoint):
                sum + unit.cost.outputBytes
            default: sum
            }
        }
    }
}
