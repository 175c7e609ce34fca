public import ReferenceModel

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

extension CurvaturePenalty {
    /// A penalty with identity factors: what a measurement of its cost needs, since values do not change the time.
    ///
    /// - Parameters:
    ///   - layout: The model's layout.
    ///   - termCount: 1 for the accumulated form, r for the optimal one, the number of summed tasks for eq. 7.
    /// - Returns: A penalty of that many terms.
    public static func identity(_ layout: ParameterLayout, termCount: Int) -> CurvaturePenalty {
        func square(_ side: Int) -> [Float] {
            (0..<side * side).map { $0 % (side + 1) == 0 ? 1 : 0 }
        }
        let layers = layout.layers.flatMap { layer in
            (0..<termCount).map { _ in
                LayerTerm(
                    layer: layer, weight: 1, input: square(layer.inputWidth + (layer.biasOffset == nil ? 0 : 1)),
                    gradient: square(layer.outputWidth))
            }
        }
        let vectors = layout.vectors.map { VectorTerm(entry: $0, weight: 1, block: square($0.count)) }
        return CurvaturePenalty(layers: layers, vectors: vectors)
    }
}
