import KroneckerFactors
import LinearAlgebra
import TestSupport

/// The packed factor 1/divisor Σ row·rowᵀ, accumulated in one chunk.
func factor(
    of rows: [[Double]],
    divisor: Double,
    appendsOne: Bool = false,
    reduction: PositionReduction = .none
) throws -> PackedSymmetricMatrix<Float> {
    let columns = rows[0].count
    let matrix = try Matrix<Float>(rows: rows.count, columns: columns, elements: rows.flatMap { $0 }.map { Float($0) })
    var workspace = try FactorWorkspace()
    var accumulation = try FactorAccumulation(columnCount: columns, appendsOne: appendsOne, reduction: reduction)
    try accumulation.add(rows: 0..<rows.count, of: matrix, workspace: &workspace)
    return try accumulation.finish(divisor: divisor)
}

/// A random positive definite factor.
func randomFactor(_ dimension: Int, seed: UInt64) throws -> PackedSymmetricMatrix<Float> {
    var random = SplitMix64(seed: seed)
    return try factor(of: (0..<2 * dimension).map { _ in random.values(dimension) }, divisor: Double(2 * dimension))
}

/// The full square of a packed matrix, row by row.
func square(_ packed: borrowing PackedSymmetricMatrix<Float>) -> [Double] {
    let order = packed.dimension
    var elements: [Double] = []
    for row in 0..<order { for column in 0..<order { elements.append(Double(packed[row, column])) } }
    return elements
}

/// B ⊗ A of two squares, row by row.
func kroneckerProduct(_ left: [Double], _ right: [Double]) -> [Double] {
    let outer = Int(Double(left.count).squareRoot())
    let inner = Int(Double(right.count).squareRoot())
    let order = outer * inner
    var product = [Double](repeating: 0, count: order * order)
    for row in 0..<order {
        for column in 0..<order {
            let outerElement = left[row / inner * outer + column / inner]
            product[row * order + column] = outerElement * right[row % inner * inner + column % inner]
        }
    }
    return product
}

/// Σ J_rᵀJ_r over rows of a Jacobian, times scale, row by row.
func gram(_ rows: [[Double]], scale: Double = 1) -> [Double] {
    let order = rows[0].count
    var product = [Double](repeating: 0, count: order * order)
    for row in rows {
        for i in 0..<order { for j in 0..<order { product[i * order + j] += scale * row[i] * row[j] } }
    }
    return product
}
