import LinearAlgebra
import RowKernels

/// A linear layer over rows, `y = x Wᵀ + b`, and the results of its cotangent pass.
///
/// The layer keeps its input and the gradient at its output. Kronecker factors are computed from these two kinds of
/// rows.
struct LinearLayer: Sendable {
    let layout: ParameterLayout.Layer
    /// `[rows, d_in]`; the code that computes the layer's input writes it.
    var input: [Float]
    /// `[rows, d_out]`: the gradient at the output, from the last cotangent pass.
    var outputGradient: [Float]

    init(_ layout: ParameterLayout.Layer, rowCapacity: Int) {
        self.layout = layout
        input = Array(repeating: 0, count: rowCapacity * layout.inputWidth)
        outputGradient = Array(repeating: 0, count: rowCapacity * layout.outputWidth)
    }

    private func inputs(_ rows: Int) -> MatrixBlock { MatrixBlock(rows: rows, columns: layout.inputWidth) }
    private func outputs(_ rows: Int) -> MatrixBlock { MatrixBlock(rows: rows, columns: layout.outputWidth) }

    /// `output = input · Wᵀ + b`, or `output +=` the same.
    func forward(_ parameters: [Float], to output: inout [Float], rows: Int, adding: Bool = false) {
        addBias(of: parameters, to: &output, rows: rows, adding: adding)
        let keeps = adding || layout.biasOffset != nil
        BlockProduct.multiply(
            input, inputs(rows), .none, parameters, layout.weight, .transposed, into: &output, outputs(rows),
            keeping: keeps ? 1 : 0)
    }

    /// `output = ẋ Wᵀ + x Ẇᵀ + ḃ`: the tangent of ``forward(_:to:rows:adding:)``.
    ///
    /// - Parameters:
    ///   - parameters: The point of the derivative.
    ///   - direction: The parameters' tangent.
    ///   - tangent: ẋ, `[rows, d_in]`; nil when the input does not depend on the parameters.
    ///   - output: Receives the rows.
    ///   - rows: Number of rows.
    ///   - adding: Whether to add to `output` instead of replacing it.
    func tangent(
        _ parameters: [Float], _ direction: [Float], of tangent: [Float], to output: inout [Float], rows: Int,
        adding: Bool = false
    ) {
        addBias(of: direction, to: &output, rows: rows, adding: adding)
        let keeps = adding || layout.biasOffset != nil
        BlockProduct.multiply(
            input, inputs(rows), .none, direction, layout.weight, .transposed, into: &output, outputs(rows),
            keeping: keeps ? 1 : 0)
        BlockProduct.multiply(
            tangent, inputs(rows), .none, parameters, layout.weight, .transposed, into: &output, outputs(rows),
            keeping: 1)
    }

    /// Computes the input's gradient `g W` and the parameters' gradients `gᵀ x` and Σ g from ``outputGradient``.
    func cotangent(_ parameters: [Float], to inputGradient: inout [Float], gradient: inout [Float], rows: Int) {
        BlockProduct.multiply(
            outputGradient, outputs(rows), .transposed, input, inputs(rows), .none, into: &gradient, layout.weight,
            keeping: 1)
        if let bias = layout.biasOffset {
            RowKernels.addGroupSums(
                of: outputGradient, to: &gradient, at: bias, groups: 1, rowsPerGroup: rows,
                columns: layout.outputWidth)
        }
        BlockProduct.multiply(
            outputGradient, outputs(rows), .none, parameters, layout.weight, .none, into: &inputGradient, inputs(rows))
    }

    /// Sets the gradient at the output, `[rows, d_out]`.
    mutating func setOutputGradient(_ gradient: [Float], rows: Int) {
        copyRange(gradient, from: 0, to: &outputGradient, at: 0, count: rows * layout.outputWidth)
    }

    private func addBias(of parameters: [Float], to output: inout [Float], rows: Int, adding: Bool) {
        guard let bias = layout.biasOffset else { return }
        RowKernels.broadcast(
            ParameterSlice(parameters, at: bias), to: &output, rows: rows, columns: layout.outputWidth, adding: adding)
    }
}
