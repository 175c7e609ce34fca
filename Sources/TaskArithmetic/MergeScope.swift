/// What a method merges at a time, with the computation that does it.
///
/// Elements stream through the coordinator in ranges. A block is a unit of a worker, which reads one model after the
/// other, so that no unit holds them all. A further case is one that the planner must plan.
public enum MergeScope: Sendable {
    /// Each element alone.
    case elements(any (ElementwiseComputation & ~Copyable).Type)
    /// A block with factors: a layer `[d_out, d_in(+1)]` or a parameter `[1, d]`; other tensors are merged element by
    /// element.
    case blocks(any (StreamedComputation & ~Copyable).Type)

    /// The computation of tensors that are merged element by element.
    public var elementwise: any (ElementwiseComputation & ~Copyable).Type {
        if case .elements(let computation) = self { return computation }
        return WeightedSum.self
    }
}
