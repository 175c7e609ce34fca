public import Hashing
public import Identifiers

/// The outputs of a finished unit: blobs, and numbers for the report.
///
/// The result is the same from every worker.
public struct UnitResult: Hashable, Sendable, Codable {
    /// The unit's outputs, in the order that the operation defines.
    public var blobs: [BlobReference]
    /// Numbers by name; each operation defines which it measures.
    public var measurements: [MeasurementName: [Double]]
    /// The blobs that stand in the staged files of the unit's job; `nil` without any.
    ///
    /// A worker has written them there. The values are, by position, the checksums of the bytes in each of the places.
    public var placed: [Int: Checksum]?

    // Journals of earlier versions have "placed" without checksums: their blobs are collected.
    private enum CodingKeys: String, CodingKey {
        case blobs, measurements
        case placed = "places"
    }

    /// Collects a unit's outputs.
    public init(blobs: [BlobReference] = [], measurements: [MeasurementName: [Double]] = [:]) {
        self.blobs = blobs
        self.measurements = measurements
    }

    /// The blob of a position; `nil` for a result with fewer blobs, which a worker or a journal may state.
    public func blob(at position: Int) -> BlobReference? {
        blobs.indices.contains(position) ? blobs[position] : nil
    }

    /// Whether a blob stands in the staged files of the unit's job.
    public func hasPlaced(_ position: Int) -> Bool { placed?[position] != nil }

    /// The result as another job may use it: staged files belong to one job.
    public var withoutPlaces: UnitResult { UnitResult(blobs: blobs, measurements: measurements) }

    /// Whether two computations of a unit gave the same bits; NaN agrees with NaN.
    public func agrees(with other: UnitResult) -> Bool {
        blobs == other.blobs
            && measurements.mapValues { $0.map(\.bitPattern) } == other.measurements.mapValues { $0.map(\.bitPattern) }
    }
}

/// The numbers that units measure.
public enum MeasurementName: String, Hashable, Sendable, Codable, CaseIterable, CodingKeyRepresentable {
    /// Of a factor: its trace.
    case trace
    /// Of B under `reduce`, or a part of it: Σ‖g‖² of the rows before each sample's are summed.
    case rowSquares = "row_squares"
    /// Of rows: a layer's exact Gauss-Newton trace, or a part of it.
    case exactTrace = "exact_trace"
    /// Of captured joint rows: the mean of their squares, by position.
    case positionSquares = "position_squares"
    /// Of a side of joint rows: the largest weight, squared, and that of the constant.
    case weightSquares = "weight_squares"
    /// Of joint eigenvectors: the share of the trace of the weighted Gram matrix that they keep.
    case keptShare = "kept_share"
    /// Of joint eigenvectors of inputs: the combinations of the constant, the last element of each pseudo-row.
    case constantRows = "constant_rows"
    /// Of a balanced B: the scalar that it was multiplied by.
    case balance
    /// Of an inverse: the rank estimate; of a merge: the rank that it used.
    case rank
    /// Of an inverse: estimate of the condition number of the damped factor.
    case condition
    /// Of an inverse: smallest eigenvalue, when known; of a compressed matrix: that of the decoded one.
    case smallestEigenvalue = "smallest_eigenvalue"
    /// Of an inverse: largest eigenvalue, when known.
    case largestEigenvalue = "largest_eigenvalue"
    /// Of an inverse: the damping that the rule gave.
    ///
    /// For a merge, A's number comes before B's.
    case damping
    /// Of an inverse: the damping that was finally added to the diagonal.
    case dampingUsed = "damping_used"
    /// Of an inverse: the mean of the factor's eigenvalues, without damping; of a compressed matrix: that of the
    /// decoded one.
    case meanEigenvalue = "mean_eigenvalue"
    /// Of a compressed matrix: what readers add to its diagonal.
    case diagonalShift = "diagonal_shift"
    /// Of an inverse: the number of factorisation attempts.
    case attempts
    /// Of an inverse: coordinates with a zero diagonal.
    case pinned
    /// Of an inverse: 1 when eigenvalues had to be clamped.
    case clamped
    /// Of a merge: the norm of the block's merged vector.
    case mergedNorm = "merged_norm"
    /// Of a merge: the norm of the weighted mean of the same task vectors.
    case meanNorm = "mean_norm"
    /// Of a merge by iteration: the number of its steps.
    case iterations
    /// Of a merge by iteration: the norm of what its equations still lack, as a share of that of their right side.
    case residual
    /// Of a step of conjugate gradients: the inner products that its block adds to the system's, or what follows from
    /// all blocks' for the next step.
    case descent
    /// Of a merge by captured covariances: how far each task's estimate is from them.
    case covarianceDistances = "covariance_distances"
    /// Of a merge into 16 bits: for each output, what rounding loses: Σ (rounded − exact)², then Σ (exact − base)².
    case roundingLoss = "rounding_loss"
    /// Of a merge that raises singular values: how many of the values that it raised may be the rounding of the stored
    /// models, and the share of the largest value up to which values may be.
    case roundingValues = "rounding_values"
    /// Of a merge into two factors: their rank, Σ (vector − product)², and Σ vector²; of an adapter: these for each of
    /// its tensors, behind the position among the base's.
    case lowRank = "low_rank"
    /// Of a merge that measures, and of their combination: the numbers of the method's statistics.
    case statistics
    /// Of a penalty: tr(B Δ A Δᵀ) or δᵀ F δ for each task vector; of a joint penalty: each part's share of it.
    case penalties
    /// Of a joint drift: what the pseudo-rows hold of the factors' penalty, tr(B_in Δ A_in Δᵀ).
    case insidePenalty = "inside_penalty"
    /// Of a penalty: tr(B Δ_i A Δ_kᵀ) or δ_iᵀ F δ_k for each pair i < k of task vectors, by k and then by i.
    case pairPenalties = "pair_penalties"
    /// Of a penalty, and of a norm: the sum of the squares of each task vector's elements.
    case squaredNorms = "squared_norms"
    /// Of an accumulated factor: ⟨X_s, X_t⟩ over tasks, row by row.
    case innerProducts = "inner_products"
    /// Of an accumulated factor: 1 for each target that was summed afresh.
    case summedAfresh = "summed_afresh"
    /// Of optimal sums: for each target and Kronecker product y_t of every task, then x_t of every task.
    case coefficients
    /// Of optimal sums: for each target, the share of the per-task form's norm that they miss; of a compressed matrix:
    /// the share of the exact one's norm that it misses; of joint eigenvectors: the share of the weighted Gram matrix's
    /// norm that they miss.
    case relativeError = "relative_error"
    /// Of a merged checkpoint: the treatment of each tensor of the base.
    case tensorStates = "tensor_states"
    /// Of a merged checkpoint: for each task, whether its tensors differ from the base's, in words of 48 bits.
    case differingTensors = "differing_tensors"
    /// Of a merged checkpoint: triples of tensor, checkpoint (0 for the base, else the task's position + 1) and the
    /// number of its NaN and infinities.
    case nonFinite = "non_finite"
}
