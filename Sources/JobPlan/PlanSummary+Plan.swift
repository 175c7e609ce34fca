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
        // A plan can have a million units. A span lends them, because a copy costs more than reading their numbers.
        let units = plan.units.span
        var first = 0
        while first < units.count {
            // Units of one stage mostly stand together.
            let stage = units[first].stage
            var sum = stages[stage] ?? Stage(named: stage)
            var position = first
            while position < units.count, units[position].stage == stage {
                sum.add(units[position].cost, isKnown: !known.isEmpty && known.contains(UnitIndex(position)))
                position += 1
            }
            stages[stage] = sum
            first = position
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
        let units = units.span
        // An output is read by several files, and its size takes a division.
        var byteCounts: [UInt64] = []
        byteCounts.reserveCapacity(units.count)
        for position in units.indices {
            // Files have factors in F32.
            byteCounts.append(units[position].byteCount(ofBlob: 0))
        }
        var sum: UInt64 = 0
        for position in units.indices where !units[position].isForWorker {
            for output in blobs(readBy: units[position]) { sum &+= byteCounts[output.unit.position] }
        }
        return sum
    }

    /// The regularizer's form, such as `optimal of rank 2` or `accumulated`; empty without a regularizer.
    fileprivate var regularizerForm: String {
        let regularizer = spec.curvature.regularizer
        guard !targets.isEmpty else { return "" }
        switch regularizer.form {
        case .accumulated, .perTask: return regularizer.form.rawValue
        case .optimal: return "\(regularizer.form.rawValue) of rank \(regularizer.termCount ?? 1)"
        case .pseudoRows:
            let settings = regularizer.jointRows
            return "\(regularizer.form.rawValue) of ranks \(settings.inputRank) and \(settings.gradientRank), floor "
                + settings.floor.text
        }
    }

    /// Bytes of the files that the job writes.
    fileprivate var diskBytes: UInt64 {
        let units = units.span
        var sum: UInt64 = 0
        for position in units.indices {
            switch units[position].work {
            case .coordinator(.assembleFactors), .coordinator(.assembleRegularizer), .coordinator(.assembleInverses),
                .coordinator(.mergeCheckpoint):
                sum += units[position].cost.outputBytes
            default: break
            }
        }
        return sum
    }
}
