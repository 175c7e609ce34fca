import RowKernels

/// A layer normalisation over rows: `y = scale ∘ n + shift`, where n = (row − mean) / deviation.
struct LayerNormalization: Sendable {
    private static let epsilon: Float = 1e-5

    let layout: ParameterLayout.Normalization
    let width: Int
    private var normalized: [Float]
    private var rates: [Float]
    /// `[samples, width]` each: the parameters' gradients for each sample, summed over its positions.
    private(set) var scaleGradients: [Float]
    private(set) var shiftGradients: [Float]

    init(_ layout: ParameterLayout.Normalization, width: Int, rowCapacity: Int, sampleCapacity: Int) {
        self.layout = layout
        self.width = width
        normalized = Array(repeating: 0, count: rowCapacity * width)
        rates = Array(repeating: 0, count: rowCapacity)
        scaleGradients = Array(repeating: 0, count: sampleCapacity * width)
        shiftGradients = scaleGradients
    }

    mutating func forward(_ parameters: [Float], _ input: [Float], to output: inout [Float], rows: Int) {
        RowKernels.normalize(
            input, normalized: &normalized, rates: &rates, rows: rows, columns: width, epsilon: Self.epsilon)
        RowKernels.scale(
            normalized, by: ParameterSlice(parameters, at: layout.scaleOffset),
            shift: ParameterSlice(parameters, at: layout.shiftOffset), result: &output, rows: rows, columns: width)
    }

    /// The tangent `scale ∘ ṅ + ṡcale ∘ n + ṡhift`; it overwrites `scratch`.
    func tangent(
        _ parameters: [Float], _ direction: [Float], of tangent: [Float], to output: inout [Float],
        scratch: inout [Float], rows: Int
    ) {
        RowKernels.normalizationDerivative(
            of: tangent, scaledBy: nil, normalized: normalized, rates: rates, result: &scratch, rows: rows,
            columns: width, adding: false)
        RowKernels.scale(
            scratch, by: ParameterSlice(parameters, at: layout.scaleOffset),
            shift: ParameterSlice(direction, at: layout.shiftOffset), result: &output, rows: rows, columns: width)
        RowKernels.scale(
            normalized, by: ParameterSlice(direction, at: layout.scaleOffset), result: &output, rows: rows,
            columns: width, adding: true)
    }

    /// Computes the gradient at the input, written or added, and the parameters' gradients from the gradient at the
    /// output.
    mutating func cotangent(
        _ parameters: [Float], _ outputGradient: [Float], to inputGradient: inout [Float], adding: Bool,
        gradient: inout [Float], samples: Int, rowsPerSample: Int
    ) {
        clear(&scaleGradients, samples * width)
        clear(&shiftGradients, samples * width)
        RowKernels.addGroupSums(
            of: outputGradient, times: normalized, to: &scaleGradients, groups: samples, rowsPerGroup: rowsPerSample,
            columns: width)
        RowKernels.addGroupSums(
            of: outputGradient, to: &shiftGradients, groups: samples, rowsPerGroup: rowsPerSample, columns: width)
        RowKernels.addGroupSums(
            of: scaleGradients, to: &gradient, at: layout.scaleOffset, groups: 1, rowsPerGroup: samples,
            columns: width)
        RowKernels.addGroupSums(
            of: shiftGradients, to: &gradient, at: layout.shiftOffset, groups: 1, rowsPerGroup: samples,
            columns: width)
        RowKernels.normalizationDerivative(
            of: outputGradient, scaledBy: ParameterSlice(parameters, at: layout.scaleOffset), normalized: normalized,
            rates: rates, result: &inputGradient, rows: samples * rowsPerSample, columns: width, adding: adding)
    }
}
