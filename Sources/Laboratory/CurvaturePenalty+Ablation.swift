import ReferenceModel

extension CurvaturePenalty {
    /// The same penalty with factors reduced to blocks on the diagonal: what a compressed exchange would keep.
    ///
    /// - Parameter count: Blocks of each factor; sides that they do not divide have smaller last blocks.
    /// - Returns: The penalty with every element between two blocks set to 0. Full blocks F stay whole.
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
