/// The findings and the remedy when one factor was inverted; a row of the report.
public struct FactorHealth: Equatable, Sendable {
    /// The step that made the factor invertible.
    public enum Remedy: String, Sendable {
        /// Only the requested damping.
        case none
        /// The damping was raised.
        case raisedDamping
        /// Negative eigenvalues were set to zero.
        case clampedEigenvalues
    }

    /// Rows and columns.
    public let dimension: Int
    /// The mean of the diagonal over all coordinates.
    public private(set) var meanDiagonal: Double
    /// The requested damping.
    public private(set) var requestedDamping: Double
    /// The damping in the result.
    public var damping: Double
    /// The number of factorisation attempts, including the successful one.
    public var attempts: Int
    /// The remedy.
    public var remedy: Remedy
    /// Coordinates with a zero diagonal.
    public let pinnedCount: Int
    /// An estimate of the damped factor's condition number, without pinned coordinates.
    public var conditionEstimate: Double
    /// The smallest eigenvalue of the factor as stored, when its eigenvalues were computed.
    public var smallestEigenvalue: Double?
    /// The largest eigenvalue of the factor as stored, when its eigenvalues were computed.
    public var largestEigenvalue: Double?
    /// `Σ λ/(λ + ε)` = `n − ε·tr (M + εI)⁻¹`: the number of directions that stand out from the damping ε.
    ///
    /// It is nil without an inverse.
    public var rankEstimate: Double?

    /// States what was asked for and found, before any attempt.
    public init(dimension: Int, meanDiagonal: Double, requestedDamping: Double, pinnedCount: Int) {
        self.dimension = dimension
        self.meanDiagonal = meanDiagonal
        self.requestedDamping = requestedDamping
        damping = requestedDamping
        attempts = 0
        remedy = .none
        self.pinnedCount = pinnedCount
        conditionEstimate = .infinity
    }

    /// The health of the factor times a number, damped by as many times the damping.
    public func scaled(by scale: Double) -> FactorHealth {
        var health = self
        health.meanDiagonal *= scale
        health.requestedDamping *= scale
        health.damping *= scale
        health.smallestEigenvalue = smallestEigenvalue.map { $0 * scale }
        health.largestEigenvalue = largestEigenvalue.map { $0 * scale }
        return health
    }
}
