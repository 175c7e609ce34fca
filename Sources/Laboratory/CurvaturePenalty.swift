import LinearAlgebra
import ReferenceModel

/// Ω(τ) = Σ_terms weight · Σ_ℓ tr(B Δ A Δᵀ) + Σ_p δᵀ F δ, with the factors of a regularizer file of the daemon.
///
/// The penalty is in fp32, because every training step computes it.
///
/// Source: paper equations 7 (one term for each task) and 8 (one term); DESIGN section 2.2.
public struct CurvaturePenalty: QuadraticPenalty {
    /// One layer's factors of one term.
    struct LayerTerm: Sendable {
        let layer: ParameterLayout.Layer
        /// The term's weight: the λ of equation 7.
        let weight: Float
        /// `[d_in + 1, d_in + 1]` with a bias, `[d_in, d_in]` without.
        let input: [Float]
        /// `[d_out, d_out]`.
        let gradient: [Float]

        var inputSide: Int { layer.inputWidth + (layer.biasOffset == nil ? 0 : 1) }
    }

    /// A one-dimensional parameter's block.
    struct VectorTerm: Sendable {
        let entry: ParameterLayout.Entry
        let weight: Float
        /// `[d, d]`.
        let block: [Float]
    }

    let layers: [LayerTerm]
    let vectors: [VectorTerm]

    init(layers: [LayerTerm], vectors: [VectorTerm]) {
        self.layers = layers
        self.vectors = vectors
    }

    /// The elements of the triangles of all factors and blocks.
    public var storedElementCount: Int {
        layers.reduce(0) { $0 + triangleCount($1.inputSide) + triangleCount($1.layer.outputWidth) }
            + vectors.reduce(0) { $0 + triangleCount($1.entry.count) }
    }

    /// Adds scale · ∇Ω(τ) = scale · (2 B Δ A, 2 F δ) to a gradient, and returns Ω(τ).
    public func addGradient(
        at vector: [Float], scale: Float, to gradient: inout [Float], scratch: inout PenaltyScratch
    ) -> Double {
        var value = 0.0
        for term in layers {
            let (rows, columns) = (term.layer.outputWidth, term.inputSide)
            let block = MatrixBlock(rows: rows, columns: columns)
            term.layer.gather(from: vector, into: &scratch.delta)
            scratch.resize(rows * columns)
            BlockProduct.multiply(
                term.gradient, MatrixBlock(rows: rows, columns: rows), .none, scratch.delta, block, .none,
                into: &scratch.left, block)
            BlockProduct.multiply(
                scratch.left, block, .none, term.input, MatrixBlock(rows: columns, columns: columns), .none,
                into: &scratch.product, block, scale: term.weight)
            value += dot(scratch.delta, scratch.product, rows * columns)
            term.layer.scatter(scratch.product, scale: 2 * scale, addingTo: &gradient)
        }
        for term in vectors {
            let side = term.entry.count
            scratch.resize(side)
            BlockProduct.multiply(
                vector, MatrixBlock(rows: 1, columns: side, offset: term.entry.offset), .none, term.block,
                MatrixBlock(rows: side, columns: side), .none,
                into: &scratch.product, MatrixBlock(rows: 1, columns: side),
                scale: term.weight)
            for index in 0..<side {
                value += Double(vector[term.entry.offset + index]) * Double(scratch.product[index])
                gradient[term.entry.offset + index] += 2 * scale * scratch.product[index]
            }
        }
        return value
    }

    private func dot(_ left: [Float], _ right: [Float], _ count: Int) -> Double {
        var sum = 0.0
        for index in 0..<count { sum += Double(left[index]) * Double(right[index]) }
        return sum
    }
}

extension ParameterLayout.Layer {
    /// Δ = [ΔW, Δb], `[d_out, d_in + 1]`, or ΔW without a bias.
    func gather(from vector: [Float], into delta: inout [Float]) {
        let (rows, columns) = (outputWidth, inputWidth)
        let side = columns + (biasOffset == nil ? 0 : 1)
        if delta.count < rows * side { delta = [Float](repeating: 0, count: rows * side) }
        for row in 0..<rows {
            for column in 0..<columns {
                delta[row * side + column] = vector[weight.offset + row * columns + column]
            }
            if let biasOffset { delta[row * side + columns] = vector[biasOffset + row] }
        }
    }

    /// Adds a matrix of Δ's shape to the places of its elements.
    func scatter(_ delta: [Float], scale: Float, addingTo vector: inout [Float]) {
        let (rows, columns) = (outputWidth, inputWidth)
        let side = columns + (biasOffset == nil ? 0 : 1)
        for row in 0..<rows {
            for column in 0..<columns {
                vector[weight.offset + row * columns + column] += scale * delta[row * side + column]
            }
            if let biasOffset { vector[biasOffset + row] += scale * delta[row * side + columns] }
        }
    }
}
