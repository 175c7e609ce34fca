/// What a method merges at a time, with the computation that does it.
///
/// Elements stream through the coordinator in ranges. Whatever needs more than one element at a time is a unit of a
/// worker, which reads one model after the other, so that no unit holds them all. A further case is one that the
/// planner must plan.
///
/// Results for several targets that are summed afterwards, such as a vector for each task, are made in the passes of
/// one unit. What a unit needs of all others is a number of ``ModelStatistics``.
public enum MergeScope: Sendable {
    /// Each element alone.
    case elements(any (ElementwiseComputation & ~Copyable).Type)
    /// A whole tensor of any shape, without factors; or its elements, after workers measured the tensor.
    ///
    /// The two forms have the same result. Only the second one can do with a few ranges in memory, and only the first
    /// one can do with rows, with parts whose elements are not contiguous, and for an adapter.
    case tensors(any (StreamedComputation & ~Copyable).Type, measured: MeasuredElements? = nil)
    /// A whole tensor of two dimensions, without factors; others are merged element by element, by a rule of their own.
    ///
    /// With a computation for `captured`, blocks are merged by it in a job with factors of every merged task.
    case matrices(
        any (StreamedComputation & ~Copyable).Type, others: any (ElementwiseComputation & ~Copyable).Type,
        captured: (any (OptionalFactorMerge & ~Copyable).Type)? = nil)
    /// A block with factors: a layer `[d_out, d_in(+1)]` or a parameter `[1, d]`; others are merged element by element.
    case blocks(
        any (StreamedComputation & ~Copyable).Type, inverses: MergeInverses = .none,
        others: any (ElementwiseComputation & ~Copyable).Type)

    /// The computation of tensors that are merged element by element.
    public var elementwise: any (ElementwiseComputation & ~Copyable).Type {
        switch self {
        case .elements(let computation), .matrices(_, let computation, _), .blocks(_, _, let computation): computation
        // What has no element, or no model of weight.
        case .tensors: WeightedSum.self
        }
    }

    /// The computation of what workers merge; none for a method that merges elements alone.
    ///
    /// - Parameter shape: The shape of what is merged, which says whether it has factors.
    /// - Returns: The computation.
    public func streamed(for shape: MergeProblem.Shape) -> (any (StreamedComputation & ~Copyable).Type)? {
        switch self {
        case .elements: nil
        case .tensors(let computation, _), .blocks(let computation, _, _): computation
        case .matrices(let computation, _, let captured): if case .matrix = shape { computation } else { captured }
        }
    }

    /// The elementwise merge of a tensor with these parameters that takes the place of the merge of whole tensors.
    public func measured(_ arguments: MergeArguments) -> MeasuredElements? {
        guard case .tensors(_, let measured?) = self, measured.isUsed(arguments) else { return nil }
        return measured
    }

    /// Whether workers merge matrices, or whole tensors, without factors.
    public var mergesMatrices: Bool {
        switch self {
        case .elements, .blocks: false
        case .tensors, .matrices: true
        }
    }

    /// The inverses that a block's computation reads.
    public var inverses: MergeInverses {
        if case .blocks(_, let inverses, _) = self { inverses } else { .none }
    }

    /// Whether the computation must read the models' factors, or reads them under these parameters if it has them.
    public func takesFactors(_ arguments: MergeArguments) -> Bool {
        switch self {
        case .elements, .tensors: false
        case .matrices(_, _, let captured): captured?.isWanted(by: arguments) ?? false
        case .blocks: true
        }
    }

    /// Whether the computation must read the models' factors.
    public var readsFactors: Bool {
        if case .blocks = self { true } else { false }
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

/// The damped inverses that a merge of blocks reads: of the factors summed over tasks, by the job's regularizer.
///
/// Source: DESIGN sections 2.2 and 2.4.
public enum MergeInverses: Sendable, CaseIterable {
    /// None.
    case none
    /// Those of the sum over all tasks.
    case all
    /// For each model, those of the sum over all other tasks.
    case leaveOneOut
}
