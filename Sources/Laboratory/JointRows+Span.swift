import LinearAlgebra

extension JointRows {
    /// The share of each candidate's squared length that lies in the span of these rows of inputs.
    ///
    /// A row of a captured sample lies nearer to the span than one of another sample. The span is the same after any
    /// rotation among the rows.
    ///
    /// - Parameters:
    ///   - candidates: The rows of inputs of samples that may have been captured; of the same model.
    ///   - weights: The weights of the blocks and positions.
    /// - Returns: One number from 0 to 1 for each candidate.
    /// - Throws: `LinearAlgebraError` for rows that are not finite.
    func spannedShares(
        of candidates: JointRows, weights: JointWeights
    ) throws(LinearAlgebraError) -> [Double] {
        let squares = weights.inputSquares
        let gram = weightedProducts(with: self, squares).map(Double.init)
        let across = weightedProducts(with: candidates, squares).map(Double.init)
        let own = candidates.weightedProducts(with: candidates, squares)
        let (rowCount, count) = (inputCount, candidates.inputCount)
        var matrix = try Matrix<Double>(rows: rowCount, columns: rowCount, elements: gram)
        let mean = (0..<rowCount).reduce(0) { $0 + gram[$1 * (rowCount + 1)] } / Double(rowCount)
        // The products are sums in fp32. Directions below their rounding count as absent.
        matrix.addToDiagonal(1e-6 * mean)
        var solved = try Matrix<Double>(rows: rowCount, columns: count, elements: across)
        try CholeskyFactor(factorizing: matrix).solve(&solved, on: .left)
        let solution = solved.elements
        return (0..<count).map { column in
            let inside = (0..<rowCount).reduce(0.0) { sum, row in
                sum + across[row * count + column] * solution[row * count + column]
            }
            let whole = Double(own[column * (count + 1)])
            return whole > 0 ? min(max(inside / whole, 0), 1) : 0
        }
    }

    /// The weighted inner products of these rows of inputs with others: `[rows, other rows]`.
    private func weightedProducts(with others: JointRows, _ squares: [[Float]]) -> [Float] {
        var products = [Float](repeating: 0, count: inputCount * others.inputCount)
        let result = MatrixBlock(rows: inputCount, columns: others.inputCount)
        for (index, block) in layout.blocks.enumerated() {
            let stride = block.positions * block.inputWidth
            for position in 0..<block.positions {
                func place(_ count: Int) -> MatrixBlock {
                    MatrixBlock(
                        rows: count, columns: block.inputWidth, offset: position * block.inputWidth, stride: stride)
                }
                BlockProduct.multiply(
                    inputs[index], place(inputCount), .none, others.inputs[index], place(others.inputCount),
                    .transposed,
                    into: &products, result, scale: squares[index][position], keeping: 1)
            }
        }
        return products
    }
}

extension CurvaturePenalty {
    /// How near each sample is to the inputs that made the factors A: minus Σ_ℓ Σ_p aᵀ A⁻¹ a.
    ///
    /// A has a thousandth of its mean eigenvalue on its diagonal, so that it has an inverse.
    ///
    /// - Parameter candidates: The rows of inputs of the samples, of the same model.
    /// - Returns: One number for each sample; larger is nearer.
    /// - Throws: `LinearAlgebraError` for factors that are not finite.
    func nearness(of candidates: JointRows) throws(LinearAlgebraError) -> [Double] {
        var sums = [Double](repeating: 0, count: candidates.inputCount)
        for (index, term) in layers.enumerated() {
            let (side, positions) = (term.inputSide, candidates.layout.blocks[index].positions)
            let rowCount = candidates.inputCount * positions
            var factor = try Matrix<Double>(rows: side, columns: side, elements: term.input.map(Double.init))
            let trace = (0..<side).reduce(0) { $0 + Double(term.input[$1 * (side + 1)]) }
            factor.addToDiagonal(1e-3 * trace / Double(side))
            let rows = candidates.inputs[index].map(Double.init)
            var solved = try Matrix<Double>(rows: rowCount, columns: side, elements: rows)
            try CholeskyFactor(factorizing: factor).solve(&solved, on: .right)
            let solution = solved.elements
            for row in 0..<rowCount {
                let place = row * side..<(row + 1) * side
                sums[row / positions] -= zip(rows[place], solution[place]).reduce(0) { $0 + $1.0 * $1.1 }
            }
        }
        return sums
    }
}
