/// What inverting one factor showed and what was done about it: a row of the report.
public struct FactorHealth: Equatable, Sendable {
    /// What made the factor invertible.
    public enum Remedy: String, Sendable {
        /// Nothing beyond the damping asked for.
        case none
        /// The damping was raised.
        case raisedDamping
        /// Negative eigenvalues were set to zero.
        case clampedEigenvalues
    }

    /// Rows and columns.
    public let dimension: Int
    /// The mean of the diagonal over all coordinates.
    public let meanDiagonal: Double
    /// The damping asked for.
    public let requestedDamping: Double
    /// The damping in the result.
    public var damping: Double
    /// Factorisations tried, the successful one included.
    public var attempts: Int
    /// What was done.
    public var remedy: Remedy
    /// Coordinates with a zero diagonal.
    public let pinnedCount: Int
    /// An estimate of the damped factor's condition number, without pinned coordinates.
    public var conditionEstimate: Double
    /// The smallest eigenvalue of the factor as stored, when its eigenvalues were computed.
    public var smallestEigenvalue: Double?
    /// The largest eigenvalue of the factor as stored, when its eigenvalues were computed.
    public var largestEigenvalue: Double?
    /// `Σ λ/(λ + ε)` = `n − ε·tr (M + εI)⁻¹`: how many directions stand out from the damping ε.
    ///
    /// Nil without an inverse.
    public var rankEstimate: Double?
}
