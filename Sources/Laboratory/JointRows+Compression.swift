import LinearAlgebra

extension JointRows {
    /// Replaces the rows of each side by the leading combinations of them.
    ///
    /// With X the weighted rows and Q the leading eigenvectors of X Xᵀ, the new rows are Qᵀ X, with the weights taken
    /// off again. That is Qᵀ times the plain rows: Q is orthonormal, so for each layer the sums of u uᵀ and v vᵀ never
    /// grow. X Xᵀ is a sum over blocks.
    ///
    /// - Parameters:
    ///   - inputRank: The most rows of u.
    ///   - gradientRank: The most rows of v.
    ///   - weights: The weights, of the same model.
    /// - Returns: At most as many rows as the ranks say, those of the largest eigenvalues first.
    /// - Throws: `LinearAlgebraError` for rows that are not finite.
    func compressed(inputRank: Int, gradientRank: Int, weights: JointWeights) throws(LinearAlgebraError) -> JointRows {
        let inputWidths = layout.blocks.map(\.inputWidth)
        let gradientWidths = layout.blocks.map(\.outputWidth)
        let newInputs = try leading(inputRank, of: inputs, inputCount, inputWidths, weights.inputSquares)
        let newGradients = try leading(
            gradientRank, of: gradients, gradientCount, gradientWidths, weights.gradientSquares)
        return JointRows(
            layout: layout, inputCount: newInputs.count, gradientCount: newGradients.count, inputs: newInputs.rows,
            gradients: newGradients.rows)
    }

    private func leading(
        _ rank: Int, of rows: [[Float]], _ count: Int, _ widths: [Int], _ squares: [[Float]]
    ) throws(LinearAlgebraError) -> (count: Int, rows: [[Float]]) {
        var gram = [Float](repeating: 0, count: count * count)
        let square = MatrixBlock(rows: count, columns: count)
        for (index, block) in layout.blocks.enumerated() {
            let stride = block.positions * widths[index]
            for position in 0..<block.positions {
                let place = MatrixBlock(
                    rows: count, columns: widths[index], offset: position * widths[index], stride: stride)
                BlockProduct.multiply(
                    rows[index], place, .none, rows[index], place, .transposed, into: &gram, square,
                    scale: squares[index][position], keeping: 1)
            }
        }
        let eigenvectors = try LeadingEigenvectors(of: gram, dimension: count, rank: rank)
        let kept = MatrixBlock(rows: eigenvectors.count, columns: count)
        let compressed = zip(layout.blocks, rows).enumerated().map { index, pair in
            let width = pair.0.positions * widths[index]
            var result = [Float](repeating: 0, count: eigenvectors.count * width)
            BlockProduct.multiply(
                eigenvectors.rows, kept, .none, pair.1, MatrixBlock(rows: count, columns: width), .none,
                into: &result, MatrixBlock(rows: eigenvectors.count, columns: width))
            return result
        }
        return (eigenvectors.count, compressed)
    }
}
