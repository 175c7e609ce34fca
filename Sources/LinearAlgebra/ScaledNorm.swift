/// A one-pass Euclidean norm whose squares neither overflow nor vanish.
///
/// Source: LAPACK's `dlassq`. The sum is kept relative to the largest magnitude so far.
public struct ScaledNorm: Sendable {
    private var scale = 0.0
    private var sum = 1.0

    /// Makes the norm of no elements, 0.
    public init() {}

    /// Adds an element.
    ///
    /// With a non-finite element the norm is infinite or NaN.
    public mutating func add(_ element: Double) {
        let magnitude = element.magnitude
        guard magnitude != 0 else { return }
        guard !(magnitude <= scale) else {
            let ratio = magnitude / scale
            sum += ratio * ratio
            return
        }
        let ratio = scale / magnitude
        sum = 1 + sum * ratio * ratio
        scale = magnitude
    }

    /// The norm.
    public var value: Double { scale * sum.squareRoot() }

    /// This norm divided by another; 0 for 0 over anything.
    public func ratio(to other: ScaledNorm) -> Double {
        scale == 0 ? 0 : scale / other.scale * (sum / other.sum).squareRoot()
    }
}
