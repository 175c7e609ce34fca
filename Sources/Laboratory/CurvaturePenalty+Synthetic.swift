import LinearAlgebra
import ReferenceModel

/// Penalties without data, for measurements of cost.
extension CurvaturePenalty {
    /// The per-task form for a number of tasks; the factors of task t are t + 1 times the identity.
    ///
    /// - Parameters:
    ///   - layout: The model's layout.
    ///   - taskCount: The number of summed tasks.
    /// - Returns: A term for each task and layer, and for each task and block.
    static func synthetic(_ layout: ParameterLayout, taskCount: Int) -> CurvaturePenalty {
        func square(_ side: Int, _ task: Int) -> [Float] {
            (0..<side * side).map { $0 % (side + 1) == 0 ? Float(task + 1) : 0 }
        }
        let weight = 1 / Float(taskCount)
        return CurvaturePenalty(
            layers: (0..<taskCount).flatMap { task in
                layout.layers.map { layer in
                    let inputSide = layer.inputWidth + (layer.biasOffset == nil ? 0 : 1)
                    return LayerTerm(
                        layer: layer, weight: weight, input: square(inputSide, task),
                        gradient: square(layer.outputWidth, task))
                }
            },
            vectors: (0..<taskCount).flatMap { task in
                layout.vectors.map { VectorTerm(entry: $0, weight: weight, block: square($0.count, task)) }
            })
    }

    /// The same tasks summed into a fixed number of terms, as in the accumulated and the optimal form.
    ///
    /// B = Σ B_t, A = Σ λ_t A_t over each term's share of the tasks, and F = Σ λ_t F_t.
    ///
    /// - Parameter termCount: Terms of each layer; at most the number of tasks.
    /// - Returns: A penalty whose cost does not depend on the number of tasks.
    func accumulated(termCount: Int) -> CurvaturePenalty {
        var sums: [String: [LayerTerm]] = [:]
        var places: [String: Int] = [:]
        for term in layers {
            let place = places[term.layer.name, default: 0]
            places[term.layer.name] = place + 1
            var own = sums[term.layer.name] ?? []
            let weighted = term.input.map { term.weight * $0 }
            if own.count < termCount {
                own.append(LayerTerm(layer: term.layer, weight: 1, input: weighted, gradient: term.gradient))
            } else {
                let sum = own[place % termCount]
                own[place % termCount] = LayerTerm(
                    layer: term.layer, weight: 1, input: zip(sum.input, weighted).map(+),
                    gradient: zip(sum.gradient, term.gradient).map(+))
            }
            sums[term.layer.name] = own
        }
        var blocks: [String: VectorTerm] = [:]
        for term in vectors {
            let weighted = term.block.map { term.weight * $0 }
            let sum = blocks[term.entry.name].map { zip($0.block, weighted).map(+) } ?? weighted
            blocks[term.entry.name] = VectorTerm(entry: term.entry, weight: 1, block: sum)
        }
        return CurvaturePenalty(
            layers: sums.values.flatMap(\.self).sorted { $0.layer.weight.offset < $1.layer.weight.offset },
            vectors: blocks.values.sorted { $0.entry.offset < $1.entry.offset })
    }
}
