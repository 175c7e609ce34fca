import JobPlan
import LinearAlgebra
import UnitOperations

/// What the coordinator does with the tensors of a merged checkpoint.
struct CheckpointParts {
    /// The tensors, or their parts, that are merged element by element.
    private(set) var summed: [MergeSample] = []
    /// Bytes of tensors that are copied from the base.
    private(set) var copiedBytes = 0.0
    /// Bytes of tensors that workers merged.
    private(set) var mergedBytes = 0.0

    /// Sorts the tensors of a plan's base.
    init(of plan: JobPlan) {
        guard plan.spec.checkpoint.adapterRank == nil else { return }
        let merged = plan.mergedRegions.map(\.region)
        let names = Set(merged.map(\.tensor))
        let measured = Set(plan.measuredRegions.map(\.region.tensor))
        let coverage = RegionCoverage(merged)
        let settings = MergeSettings(spec: plan.spec, base: plan.inventory.base)
        let kinds = plan.inventory.tensorKinds
        let copied = CopiedTensors(spec: plan.spec, base: plan.inventory.base)
        for tensor in plan.inventory.base.shards.flatMap(\.tensors) {
            guard case .summed(let type) = kinds.kind(of: tensor), copied.reason(of: tensor.name) == nil else {
                copiedBytes += Double(tensor.slice.byteCount)
                continue
            }
            var elements = tensor.elementCount
            if names.contains(tensor.name) {
                elements = coverage.rest(of: tensor).reduce(0) { $0 + $1.elementCount }
                let size = (plan.spec.outputType ?? type).byteCount
                mergedBytes += Double((tensor.elementCount - elements) * size)
            }
            guard elements > 0 else { continue }
            var part = tensor
            part.shape = [elements]
            summed.append(
                MergeSample(elementsOf: part, type, isMeasured: measured.contains(tensor.name), in: plan, settings))
        }
    }

    /// Bytes of the merged checkpoint.
    var outputBytes: Double {
        summed.reduce(copiedBytes + mergedBytes) { $0 + $1.work * Double($1.outputType.byteCount) }
    }
}
