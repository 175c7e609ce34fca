/// What a method merges at a time, with the computation that does it.
///
/// Elements stream through the coordinator in ranges. Whatever needs more than one element at a time is a unit of a
/// worker, which reads one model after the other, so that no unit holds them all. A further case is one that the
/// planner must plan.
public enum MergeScope: Sendable {
    /// Each element alone.
    case elements(any (ElementwiseComputation & ~Copyable).Type)
    /// A whole tensor of any shape, without factors.
    case tensors(any (StreamedComputation & ~Copyable).Type)
    /// A whole tensor of two dimensions, without factors; other tensors are merged element by element.
    case matrices(any (StreamedComputation & ~Copyable).Type)
    /// A block with factors: a layer `[d_out, d_in(+1)]` or a parameter `[1, d]`; other tensors are merged element by
    /// element.
    case blocks(any (StreamedComputation & ~Copyable).Type)

    /// The computation of tensors that are merged element by element.
    public var elementwise: any (ElementwiseComputation & ~Copyable).Type {
        if case .elements(let computation) = self { return computation }
        return WeightedSum.self
    }

    /// The computation of what workers merge; none for a method that merges elements alone.
    public var streamed: (any (StreamedComputation & ~Copyable).Type)? {
        switch self {
        case .elements: nil
        case .tensors(let computation), .matrices(let computation), .blocks(let computation): computation
        }
    }

    /// Whether a tensor of this shape is merged as a whole, without factors.
    public func mergesWhole(shape: [Int]) -> Bool {
        switch self {
        case .elements, .blocks: false
        case .tensors: true
        case .matrices: shape.count == 2
        }
    }
}
