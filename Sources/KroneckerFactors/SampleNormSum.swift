public import LinearAlgebra

/// A sum of ‖Σ_p g_p ã_pᵀ‖² over samples, for one kind of input rows.
///
/// A caller fills the buffers with rows, and then adds the rows sample by sample.
public protocol SampleNormSum: Sendable {
    /// `[rows, d_out]`.
    var gradients: [Float] { get set }
    /// The sum over the samples that have ended.
    var total: Double { get }

    /// Adds rows of one sample, which are in the buffers.
    ///
    /// - Parameters:
    ///   - rows: Their positions in the buffers.
    ///   - endsSample: Whether no later rows belong to the same sample.
    /// - Throws: `LinearAlgebraError` for matrices beyond the BLAS.
    mutating func add(rows: Range<Int>, endsSample: Bool) throws(LinearAlgebraError)
}
