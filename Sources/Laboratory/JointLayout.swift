import ReferenceModel

/// The blocks of a model's joint rows: each linear layer at all its positions, then all one-dimensional parameters.
///
/// In the drift s = Σ_ℓ Σ_p gᵀ Δ a of a sample, one-dimensional parameters are a layer of one position whose input is a
/// 1. So one sum covers every parameter.
struct JointLayout: Sendable {
    /// The parameters of one block, Δ of `[d_out, d_in]`.
    struct Block: Sendable {
        enum Parameters: Sendable {
            /// Δ = [ΔW, Δb].
            case layer(ParameterLayout.Layer)
            /// Δ is one column: all entries, one after the other.
            case vectors([ParameterLayout.Entry])
        }

        let parameters: Parameters
        /// Positions of a joint row, or buckets of them.
        let positions: Int
        /// Rows of each sample before positions were pooled; A is a mean over them.
        let rowsPerSample: Int
        /// d_in, with a bias one more.
        let inputWidth: Int
        /// d_out.
        let outputWidth: Int

        /// Writes Δ, `[d_out, d_in]`.
        func gather(from vector: [Float], into delta: inout [Float]) {
            switch parameters {
            case .layer(let layer): layer.gather(from: vector, into: &delta)
            case .vectors(let entries):
                if delta.count < outputWidth { delta = [Float](repeating: 0, count: outputWidth) }
                var place = 0
                for entry in entries {
                    for index in entry.range {
                        delta[place] = vector[index]
                        place += 1
                    }
                }
            }
        }

        /// Adds scale times a matrix of Δ's shape to the places of its elements.
        func scatter(_ delta: [Float], scale: Float, addingTo vector: inout [Float]) {
            switch parameters {
            case .layer(let layer): layer.scatter(delta, scale: scale, addingTo: &vector)
            case .vectors(let entries):
                var place = 0
                for entry in entries {
                    for index in entry.range {
                        vector[index] += scale * delta[place]
                        place += 1
                    }
                }
            }
        }
    }

    let blocks: [Block]
    /// Length of τ.
    let parameterCount: Int

    init(_ layout: ParameterLayout) {
        // A pass knows which layers have one row for each sample.
        let pass = TransformerPass(layout, sampleCapacity: 1)
        let layers = pass.layerRows.map { rows in
            Block(
                parameters: .layer(rows.layer), positions: rows.rowsPerSample, rowsPerSample: rows.rowsPerSample,
                inputWidth: rows.layer.inputWidth + (rows.layer.biasOffset == nil ? 0 : 1),
                outputWidth: rows.layer.outputWidth)
        }
        let vectors = layout.vectors
        let width = vectors.reduce(0) { $0 + $1.count }
        let joined = Block(
            parameters: .vectors(vectors), positions: 1, rowsPerSample: 1, inputWidth: 1, outputWidth: width)
        self.init(blocks: layers + [joined], parameterCount: layout.count)
    }

    init(blocks: [Block], parameterCount: Int) {
        self.blocks = blocks
        self.parameterCount = parameterCount
    }
}
