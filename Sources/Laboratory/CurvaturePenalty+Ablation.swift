import ReferenceModel

extension CurvaturePenalty {
    /// The penalty with factors reduced to diagonal blocks, as a compressed exchange would keep them.
    ///
    /// - Parameter count: Blocks of each factor. If they do not divide a side evenly, its last block is smaller.
    /// - Returns: The penalty with every element between two blocks set to 0. The full blocks F are not changed.
    public func blockDiagonal(_ count: Int) -> CurvaturePenalty {
        CurvaturePenalty(
            layers: layers.map { term in
                LayerTerm(
                    layer: term.layer, weight: term.weight,
                    input: Self.blockDiagonal(term.input, side: term.inputSide, count: count),
                    gradient: Self.blockDiagonal(term.gradient, side: term.layer.outputWidth, count: count))
            }, vectors: vectors)
    }

    private static func blockDiagonal(_ matrix: [Float], side: Int, count: Int) -> [Float] {
        let length = (side + count - 1) / count
        var result = matrix
        for row in 0..<side {
            for column in 0..<side where row / length != column / length { result[row * side + column] = 0 }
        }
        return result
    }
}
