import LinearAlgebra

extension JointRows {
    /// The rows of each side after a random rotation among them.
    ///
    /// Ω, and what the rows hold of each layer, are sums over all rows of a side. So a rotation leaves both as they
    /// are, up to rounding. It hides nothing from someone who compresses the rows again: that finds the eigenvectors.
    ///
    /// - Throws: `LinearAlgebraError` of the decomposition that makes a rotation.
    func mixed() throws(LinearAlgebraError) -> JointRows {
        let (u, v) = (
            try Self.rotation(inputCount, "mixing of inputs"), try Self.rotation(gradientCount, "mixing of gradients")
        )
        return JointRows(
            layout: layout, inputCount: inputCount, gradientCount: gradientCount,
            inputs: inputs.map { Self.rotate($0, by: u, inputCount) },
            gradients: gradients.map { Self.rotate($0, by: v, gradientCount) })
    }

    /// A random orthogonal matrix `[count, count]`, from the uniform distribution.
    ///
    /// It is the orthogonal part of a matrix of normal numbers. The lab's numbers are the same in every run, so that
    /// its results are.
    private static func rotation(_ count: Int, _ purpose: String) throws(LinearAlgebraError) -> [Float] {
        var random = SeededRandom(seed: 0, purpose: purpose)
        let numbers = (0..<count * count).map { _ in random.nextNormal() }
        let decomposition = try SingularValueDecomposition(
            decomposing: try Matrix<Double>(rows: count, columns: count, elements: numbers))
        var orthogonal = try Matrix<Double>(rows: count, columns: count)
        try orthogonal.addProduct(decomposition.left, .none, decomposition.right)
        return orthogonal.elements.map { Float($0) }
    }

    private static func rotate(_ rows: [Float], by rotation: [Float], _ count: Int) -> [Float] {
        var result = [Float](repeating: 0, count: rows.count)
        let block = MatrixBlock(rows: count, columns: count > 0 ? rows.count / count : 0)
        BlockProduct.multiply(
            rotation, MatrixBlock(rows: count, columns: count), .none, rows, block, .none, into: &result, block)
        return result
    }
}
