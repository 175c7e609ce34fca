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
        // A plan can have a million units, and a copy of a unit costs more than reading its numbers.
        for position in plan.units.indices {
            let cost = plan.units[position].cost
            let stage = plan.units[position].stage
            stages[stage, default: Stage(named: stage)].add(cost, isKnown: known.contains(UnitIndex(position)))
        }
        let linear = plan.blocks.count { $0.factors.count == 2 }
        self.init(
            stages: Array(stages.values), largestUnit: plan.largestWorkerUnit?.title ?? "",
            layers: linear, parameters: plan.blocks.count - linear, tasks: plan.spec.tasks.count,
            wireBytes: plan.wireBytes, diskBytes: plan.diskBytes, regularizer: plan.regularizerForm,
            notices: plan.notices)
    }
}

extension PlanSummary.Stage {
    /// A stage without units.
    fileprivate init(named stage: UnitStage) {
        self.init(
            name: stage.title, units: 0, multiplyAdds: 0, inputBytes: 0, outputBytes: 0, memoryBytesMax: 0)
    }

    /// Adds a unit.
    fileprivate mutating func add(_ cost: UnitCost, isKnown: Bool) {
        units += 1
        if isKnown { knownUnits += 1 }
        multiplyAdds += cost.multiplyAdds
        inputBytes += cost.inputBytes
        outputBytes += cost.outputBytes
        memoryBytesMax = max(memoryBytesMax, cost.memoryBytes)
    }
}

extension JobPlan {
    /// Bytes that cross the network when workers see the input files: the blobs of the output files.
    ///
    /// Blobs that workers read from each other are not counted. They occur when several workers share a layer's units.
    fileprivate var wireBytes: UInt64 {
        units.indices.lazy.filter { !units[$0].isForWorker }.flatMap { blobs(readBy: units[$0]) }
            .reduce(0) { $0 &+ byteCount(of: $1) }
    }

    /// The bytes of one output of a unit.
    private func byteCount(of output: UnitOutput) -> UInt64 {
        let position = output.unit.position
        return units[position].cost.outputBytes / UInt64(max(1, units[position].blobCount))
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
        units.indices.reduce(0) { sum, position in
            switch units[position].work {
            case .coordinator(.assembleFactors), .coordinator(.assembleRegularizer), .coordinator(.assembleInverses),
                .coordinator(.mergeCheckpoint):
                sum + units[position].cost.outputBytes
            default: sum
            }
        }
    }
}
