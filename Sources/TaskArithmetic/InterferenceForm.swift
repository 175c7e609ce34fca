/// The interference of pairs of task vectors under one task's curvature: G[i][k] = Σ_ℓ tr(B Δ_i A Δ_kᵀ).
///
/// It is symmetric, and positive semi-definite up to rounding. Its diagonal is the task's column of the interference
/// matrix.
///
/// Source: DESIGN section 2.3.
public struct InterferenceForm: Equatable, Sendable {
    /// Number of task vectors, T.
    public let vectorCount: Int
    /// The lower triangle, row by row.
    private let values: [Double]

    /// Takes the lower triangle.
    ///
    /// - Parameter rows: Row i has the values for i and 0...i; `nil` results from rows of other lengths.
    public init?(lowerTriangle rows: [[Double]]) {
        guard rows.enumerated().allSatisfy({ $0.element.count == $0.offset + 1 }) else { return nil }
        vectorCount = rows.count
        values = rows.flatMap { $0 }
    }

    /// G[i][k] = G[k][i].
    public subscript(first: Int, second: Int) -> Double {
        let (row, column) = (max(first, second), min(first, second))
        return values[row * (row + 1) / 2 + column]
    }

    /// cᵀ G d, for coefficients `[T]`.
    public func value(_ left: [Double], _ right: [Double]) -> Double {
        var sum = 0.0
        for row in 0..<vectorCount where left[row] != 0 {
            for column in 0..<vectorCount { sum += left[row] * self[row, column] * right[column] }
        }
        return sum
    }
}
