public import Identifiers

/// What a finished unit leaves: blobs, and numbers for the report.
///
/// The same from whichever worker it comes.
public struct UnitResult: Hashable, Sendable, Codable {
    /// The unit's outputs, in the order that the operation defines.
    public var blobs: [BlobReference]
    /// Numbers by name; the operation that measures them defines which.
    public var measurements: [MeasurementName: [Double]]

    /// Collects a unit's outputs.
    public init(blobs: [BlobReference] = [], measurements: [MeasurementName: [Double]] = [:]) {
        self.blobs = blobs
        self.measurements = measurements
    }

    /// Whether two computations of a unit gave the same bits; an unknown number (NaN) agrees with itself.
    public func agrees(with other: UnitResult) -> Bool {
        blobs == other.blobs
            && measurements.mapValues { $0.map(\.bitPattern) } == other.measurements.mapValues { $0.map(\.bitPattern) }
    }
}

/// The numbers that units measure.
public enum MeasurementName: String, Hashable, Sendable, Codable, CaseIterable, CodingKeyRepresentable {
    /// Of a factor: its trace.
    case trace
    /// Of an inverse: the rank estimate.
    case rank
    /// Of an inverse: estimate of the condition number of the damped factor.
    case condition
    /// Of an inverse: smallest eigenvalue, when known.
    case smallestEigenvalue = "smallest_eigenvalue"
    /// Of an inverse: largest eigenvalue, when known.
    case largestEigenvalue = "largest_eigenvalue"
    /// Of an inverse: what was to be added to the diagonal. The rows of a merge hold A's number, then B's.
    case damping
    /// Of an inverse: what was added to the diagonal in the end.
    case dampingUsed = "damping_used"
    /// Of an inverse: the mean of the factor's eigenvalues, without damping.
    case meanEigenvalue = "mean_eigenvalue"
    /// Of an inverse: how many factorisations were tried.
    case attempts
    /// Of an inverse: coordinates with a zero diagonal.
    case pinned
    /// Of an inverse: 1 when eigenvalues had to be clamped.
    case clamped
    /// Of a merge: the norm of the block's merged vector.
    case mergedNorm = "merged_norm"
    /// Of a merge: the norm of the weighted mean of the same task vectors.
    case meanNorm = "mean_norm"
    /// Of a penalty: tr(B Δ A Δᵀ) or δᵀ F δ for each task vector.
    case penalties
    /// Of an accumulated factor: ⟨X_s, X_t⟩ over tasks, row by row.
    case innerProducts = "inner_products"
    /// Of an accumulated factor: for each target 1 when it had to be summed afresh.
    case summedAfresh = "summed_afresh"
    /// Of optimal sums: for each target and Kronecker product y_t of every task, then x_t of every task.
    case coefficients
    /// Of optimal sums: for each target the share of the per-task form's norm that they miss.
    case relativeError = "relative_error"
    /// Of a merged checkpoint: for each tensor of the base what became of it.
    case tensorStates = "tensor_states"
    /// Of a merged checkpoint: for each task, in words of 48 bits, whether its tensor differs from the base's.
    case differingTensors = "differing_tensors"
    /// Of a merged checkpoint: tensor, checkpoint (0 for the base, else the task's position + 1) and number of its NaN
    /// and infinities, one after the other.
    case nonFinite = "non_finite"
}
