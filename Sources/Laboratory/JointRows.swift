import LinearAlgebra

/// Joint rows: vectors u_r of all layers' inputs and v_s of all output gradients, and their form Ω(Δ) = Σ_rs X_rs².
///
/// X_rs = Σ_ℓ Σ_p v_{s,ℓ,p}ᵀ Δ_ℓ u_{r,ℓ,p}: the drift that Δ causes where a sample has the inputs u_r and the gradients
/// v_s. The sum over layers and positions is inside the square. A form of blocks keeps only the squares of its terms.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointRows: Sendable {
    let layout: JointLayout
    /// Number of rows u.
    public let inputCount: Int
    /// Number of rows v.
    public let gradientCount: Int
    /// For each block `[inputCount, positions, d_in]`.
    let inputs: [[Float]]
    /// For each block `[gradientCount, positions, d_out]`.
    let gradients: [[Float]]

    init(layout: JointLayout, inputCount: Int, gradientCount: Int, inputs: [[Float]], gradients: [[Float]]) {
        self.layout = layout
        self.inputCount = inputCount
        self.gradientCount = gradientCount
        self.inputs = inputs
        self.gradients = gradients
    }

    /// The rows of several forms, one after the other.
    ///
    /// - Parameters:
    ///   - parts: At least one, of the same model.
    ///   - inputScales: The factor of each part's inputs.
    init(joining parts: [JointRows], inputScales: [Float]) {
        layout = parts[0].layout
        inputCount = parts.reduce(0) { $0 + $1.inputCount }
        gradientCount = parts.reduce(0) { $0 + $1.gradientCount }
        let blocks = layout.blocks.indices
        inputs = blocks.map { block in
            zip(parts, inputScales).flatMap { part, scale in part.inputs[block].map { scale * $0 } }
        }
        gradients = blocks.map { block in parts.flatMap { $0.gradients[block] } }
    }

    /// The elements of all rows.
    var elementCount: Int { (inputs + gradients).reduce(0) { $0 + $1.count } }

    /// Adds scale · ∇Ω(Δ), whose layer ℓ is 2 Σ_rs X_rs Σ_p v_{s,ℓ,p} u_{r,ℓ,p}ᵀ, and returns Ω(Δ).
    func addGradient(
        at vector: [Float], scale: Float, to gradient: inout [Float], scratch: inout PenaltyScratch
    ) -> Double {
        let pairs = MatrixBlock(rows: gradientCount, columns: inputCount)
        scratch.pairs = [Float](repeating: 0, count: gradientCount * inputCount)
        for (index, block) in layout.blocks.enumerated() {
            let width = block.positions * block.outputWidth
            scratch.resize(max(inputCount * width, block.outputWidth * block.inputWidth))
            block.gather(from: vector, into: &scratch.delta)
            BlockProduct.multiply(
                inputs[index], MatrixBlock(rows: inputCount * block.positions, columns: block.inputWidth), .none,
                scratch.delta, MatrixBlock(rows: block.outputWidth, columns: block.inputWidth), .transposed,
                into: &scratch.left, MatrixBlock(rows: inputCount * block.positions, columns: block.outputWidth))
            BlockProduct.multiply(
                gradients[index], MatrixBlock(rows: gradientCount, columns: width), .none,
                scratch.left, MatrixBlock(rows: inputCount, columns: width), .transposed,
                into: &scratch.pairs, pairs, keeping: 1)
        }
        for (index, block) in layout.blocks.enumerated() {
            let width = block.positions * block.outputWidth
            BlockProduct.multiply(
                scratch.pairs, pairs, .transposed,
                gradients[index], MatrixBlock(rows: gradientCount, columns: width), .none,
                into: &scratch.left, MatrixBlock(rows: inputCount, columns: width))
            BlockProduct.multiply(
                scratch.left, MatrixBlock(rows: inputCount * block.positions, columns: block.outputWidth), .transposed,
                inputs[index], MatrixBlock(rows: inputCount * block.positions, columns: block.inputWidth), .none,
                into: &scratch.product, MatrixBlock(rows: block.outputWidth, columns: block.inputWidth))
            block.scatter(scratch.product, scale: 2 * scale, addingTo: &gradient)
        }
        return scratch.pairs.reduce(0) { $0 + Double($1) * Double($1) }
    }
}
