import RowKernels

/// One pre-norm block: `h += proj(attention(ln1 h))`, then `h += fc2(gelu(fc1(ln2 h)))`.
///
/// Each pass changes the residual stream in place: values, tangents, or gradients.
struct TransformerBlock: Sendable {
    private var normalization1: LayerNormalization
    private(set) var queriesKeysValues: LinearLayer
    private var fused: [Float]
    private var attention: Attention
    private(set) var attentionOutput: LinearLayer
    private var normalization2: LayerNormalization
    private(set) var hidden: LinearLayer
    private var slope: [Float]
    private(set) var hiddenOutput: LinearLayer

    init(
        _ layout: ParameterLayout.Block, shape: VisionTransformerShape, sampleCapacity: Int
    ) {
        let rows = sampleCapacity * shape.positionCount
        normalization1 = LayerNormalization(
            layout.normalization1, width: shape.width, rowCapacity: rows, sampleCapacity: sampleCapacity)
        queriesKeysValues = LinearLayer(layout.queriesKeysValues, rowCapacity: rows)
        fused = Array(repeating: 0, count: rows * 3 * shape.width)
        attention = Attention(shape: shape, sampleCapacity: sampleCapacity)
        attentionOutput = LinearLayer(layout.attentionOutput, rowCapacity: rows)
        normalization2 = LayerNormalization(
            layout.normalization2, width: shape.width, rowCapacity: rows, sampleCapacity: sampleCapacity)
        hidden = LinearLayer(layout.hidden, rowCapacity: rows)
        slope = Array(repeating: 0, count: rows * shape.hiddenWidth)
        hiddenOutput = LinearLayer(layout.hiddenOutput, rowCapacity: rows)
    }

    var layers: [LinearLayer] { [queriesKeysValues, attentionOutput, hidden, hiddenOutput] }
    var normalizations: [LayerNormalization] { [normalization1, normalization2] }

    mutating func forward(_ parameters: [Float], _ stream: inout [Float], _ scratch: inout PassScratch) {
        let rows = scratch.rows
        normalization1.forward(parameters, stream, to: &queriesKeysValues.input, rows: rows)
        queriesKeysValues.forward(parameters, to: &fused, rows: rows)
        attention.forward(fused, to: &attentionOutput.input, samples: scratch.samples)
        attentionOutput.forward(parameters, to: &stream, rows: rows, adding: true)
        normalization2.forward(parameters, stream, to: &hidden.input, rows: rows)
        hidden.forward(parameters, to: &scratch.hidden, rows: rows)
        RowKernels.quickGELU(
            scratch.hidden, output: &hiddenOutput.input, slope: &slope, count: rows * hidden.layout.outputWidth)
        hiddenOutput.forward(parameters, to: &stream, rows: rows, adding: true)
    }

    mutating func tangent(
        _ parameters: [Float], _ direction: [Float], _ stream: inout [Float], _ scratch: inout PassScratch
    ) {
        let rows = scratch.rows
        normalization1.tangent(
            parameters, direction, of: stream, to: &scratch.first, scratch: &scratch.second, rows: rows)
        queriesKeysValues.tangent(parameters, direction, of: scratch.first, to: &scratch.fused, rows: rows)
        attention.tangent(fused, of: scratch.fused, to: &scratch.first, samples: scratch.samples)
        attentionOutput.tangent(parameters, direction, of: scratch.first, to: &stream, rows: rows, adding: true)
        normalization2.tangent(
            parameters, direction, of: stream, to: &scratch.first, scratch: &scratch.second, rows: rows)
        hidden.tangent(parameters, direction, of: scratch.first, to: &scratch.hidden, rows: rows)
        RowKernels.multiply(&scratch.hidden, by: slope, count: rows * hidden.layout.outputWidth)
        hiddenOutput.tangent(parameters, direction, of: scratch.hidden, to: &stream, rows: rows, adding: true)
    }

    mutating func cotangent(
        _ parameters: [Float], _ stream: inout [Float], gradient: inout [Float], _ scratch: inout PassScratch
    ) {
        let (rows, samples) = (scratch.rows, scratch.samples)
        hiddenOutput.setOutputGradient(stream, rows: rows)
        hiddenOutput.cotangent(parameters, to: &hidden.outputGradient, gradient: &gradient, rows: rows)
        RowKernels.multiply(&hidden.outputGradient, by: slope, count: rows * hidden.layout.outputWidth)
        hidden.cotangent(parameters, to: &scratch.first, gradient: &gradient, rows: rows)
        normalization2.cotangent(
            parameters, scratch.first, to: &stream, adding: true, gradient: &gradient, samples: samples,
            rowsPerSample: scratch.positions)
        attentionOutput.setOutputGradient(stream, rows: rows)
        attentionOutput.cotangent(parameters, to: &scratch.first, gradient: &gradient, rows: rows)
        attention.cotangent(fused, scratch.first, to: &queriesKeysValues.outputGradient, samples: samples)
        queriesKeysValues.cotangent(parameters, to: &scratch.first, gradient: &gradient, rows: rows)
        normalization1.cotangent(
            parameters, scratch.first, to: &stream, adding: true, gradient: &gradient, samples: samples,
            rowsPerSample: scratch.positions)
    }
}
