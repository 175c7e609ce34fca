import RowKernels

/// The end of the model: class token → `ln_post` → `lin_proj` → unit length.
struct FeatureHead: Sendable {
    private let width: Int
    private let featureWidth: Int
    private let positions: Int
    private(set) var normalization: LayerNormalization
    private(set) var projection: LinearLayer
    /// `[samples, width]` each.
    private var first: [Float]
    private var second: [Float]
    private var third: [Float]
    /// 1 / ‖u‖ of each sample's projection u.
    private var rates: [Float]
    /// `[samples, features]`.
    private(set) var features: [Float]
    /// `[samples, features]`: J τ of the last tangent pass.
    private(set) var tangents: [Float]

    init(_ layout: ParameterLayout, sampleCapacity: Int) {
        width = layout.shape.width
        featureWidth = layout.shape.featureWidth
        positions = layout.shape.positionCount
        normalization = LayerNormalization(
            layout.normalizationAfter, width: width, rowCapacity: sampleCapacity, sampleCapacity: sampleCapacity)
        projection = LinearLayer(layout.projection, rowCapacity: sampleCapacity)
        first = Array(repeating: 0, count: sampleCapacity * width)
        second = first
        third = first
        rates = Array(repeating: 0, count: sampleCapacity)
        features = Array(repeating: 0, count: sampleCapacity * featureWidth)
        tangents = features
    }

    mutating func forward(_ parameters: [Float], _ stream: [Float], samples: Int) {
        gatherClassTokens(of: stream, samples: samples)
        normalization.forward(parameters, first, to: &projection.input, rows: samples)
        projection.forward(parameters, to: &features, rows: samples)
        for sample in 0..<samples {
            let row = sample * featureWidth..<(sample + 1) * featureWidth
            var square: Float = 0
            for index in row { square += features[index] * features[index] }
            rates[sample] = 1 / square.squareRoot()
            for index in row { features[index] *= rates[sample] }
        }
    }

    mutating func tangent(_ parameters: [Float], _ direction: [Float], _ stream: [Float], samples: Int) {
        gatherClassTokens(of: stream, samples: samples)
        normalization.tangent(parameters, direction, of: first, to: &third, scratch: &second, rows: samples)
        projection.tangent(parameters, direction, of: third, to: &tangents, rows: samples)
        unitLengthDerivative(of: &tangents, features, rates, samples: samples, width: featureWidth)
    }

    /// Computes the gradient at the stream from the gradient at the features; it is 0 except at the class tokens.
    mutating func cotangent(
        _ parameters: [Float], _ featureGradient: [Float], to stream: inout [Float], gradient: inout [Float],
        samples: Int
    ) {
        projection.setOutputGradient(featureGradient, rows: samples)
        unitLengthDerivative(
            of: &projection.outputGradient, features, rates, samples: samples, width: featureWidth)
        projection.cotangent(parameters, to: &first, gradient: &gradient, rows: samples)
        normalization.cotangent(
            parameters, first, to: &second, adding: false, gradient: &gradient, samples: samples, rowsPerSample: 1)
        clear(&stream, samples * positions * width)
        for sample in 0..<samples {
            copyRange(
                second, from: sample * width, to: &stream, at: sample * positions * width, count: width)
        }
    }

    private mutating func gatherClassTokens(of stream: [Float], samples: Int) {
        for sample in 0..<samples {
            copyRange(stream, from: sample * positions * width, to: &first, at: sample * width, count: width)
        }
    }
}

/// The derivative of f = u / ‖u‖, which is its own transpose: v becomes (v − f ⟨f, v⟩) / ‖u‖.
private func unitLengthDerivative(
    of values: inout [Float], _ features: [Float], _ rates: [Float], samples: Int, width: Int
) {
    for sample in 0..<samples {
        let row = sample * width..<(sample + 1) * width
        var along: Float = 0
        for index in row { along += features[index] * values[index] }
        for index in row { values[index] = (values[index] - features[index] * along) * rates[sample] }
    }
}
