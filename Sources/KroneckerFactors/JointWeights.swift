/// The weights of joint rows, which make the two sides comparable.
///
/// An input counts as much as the gradients that it meets: wα = √E‖g‖² for each layer and position, and wγ = √E‖a‖².
/// The expectations are means over the tasks of a form. A weight is at least 10⁻⁴ of the largest of its side.
///
/// Weights are used as shares of the largest one. A common factor changes no eigenvector, and shares stay in the range
/// of fp32.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointWeights: Equatable, Sendable {
    /// The largest weight of the side, squared.
    public let largestSquare: Double

    /// The smallest weight as a share of the largest.
    private static let least = 1e-4

    /// The weights of a side whose largest is known.
    public init(largestSquare: Double) { self.largestSquare = largestSquare }

    /// The mean of squares over tasks, position by position.
    ///
    /// - Parameter squares: For each task one number for each position; the lists have the same length.
    /// - Returns: One number for each position; none without tasks.
    public static func means(_ squares: [[Double]]) -> [Double] {
        guard let first = squares.first else { return [] }
        return first.indices.map { position in
            squares.reduce(0) { $0 + $1[position] } / Double(squares.count)
        }
    }

    /// A squared weight, as a share of the largest, and at least as large as the floor says.
    public func squaredShare(_ square: Double) -> Double {
        guard largestSquare > 0 else { return 0 }
        return max(square / largestSquare, Self.least * Self.least)
    }

    /// A weight, as a share of the largest.
    public func share(ofSquare square: Double) -> Double { squaredShare(square).squareRoot() }
}
