/// The model on one batch of samples: values, tangents and gradients, in buffers that are allocated once.
///
/// After ``load(_:from:)`` and ``forward(_:)`` both derivatives may be taken at the same parameters, in any order and
/// any number of times. One thread at a time may use a pass. BLAS runs with the process's number of threads, which
/// should be one when several passes run at once.
public struct TransformerPass: Sendable {
    /// The parameters' places.
    public let layout: ParameterLayout
    /// Samples that the buffers can hold.
    public let sampleCapacity: Int
    private var embedded: [Float]
    private var stream: [Float]
    private var normalizationBefore: LayerNormalization
    private var blocks: [TransformerBlock]
    private var head: FeatureHead
    private var classTokenGradients: [Float]
    private var scratch: PassScratch

    /// Allocates the buffers.
    ///
    /// - Parameters:
    ///   - layout: The model's layout.
    ///   - sampleCapacity: The largest batch, at least 1.
    public init(_ layout: ParameterLayout, sampleCapacity: Int) {
        let shape = layout.shape
        let rows = sampleCapacity * shape.positionCount
        self.layout = layout
        self.sampleCapacity = sampleCapacity
        embedded = Array(repeating: 0, count: rows * shape.width)
        stream = embedded
        normalizationBefore = LayerNormalization(
            layout.normalizationBefore, width: shape.width, rowCapacity: rows, sampleCapacity: sampleCapacity)
        blocks = layout.blocks.map { TransformerBlock($0, shape: shape, sampleCapacity: sampleCapacity) }
        head = FeatureHead(layout, sampleCapacity: sampleCapacity)
        classTokenGradients = Array(repeating: 0, count: sampleCapacity * shape.width)
        scratch = PassScratch(shape: shape, sampleCapacity: sampleCapacity)
    }

    /// The number of loaded samples.
    public var sampleCount: Int { scratch.samples }
    private var shape: VisionTransformerShape { layout.shape }

    /// `[samples, features]` of the last ``forward(_:)``, each of unit length.
    ///
    /// After a smaller batch the array is longer.
    public var features: [Float] { head.features }
    /// `[samples, features]`: J τ of the last ``tangent(_:along:)``.
    public var featureTangents: [Float] { head.tangents }

    /// Loads samples.
    ///
    /// - Parameters:
    ///   - samples: The samples' numbers; at most the capacity.
    ///   - tokens: `[all samples, positions, width]`, from ``PatchEmbedding/tokens(of:)``.
    public mutating func load(_ samples: some Collection<Int>, from tokens: [Float]) {
        precondition(samples.count <= sampleCapacity, "a batch of \(samples.count) in a pass for \(sampleCapacity)")
        scratch.samples = samples.count
        let size = shape.positionCount * shape.width
        for (place, sample) in samples.enumerated() {
            precondition(sample >= 0 && (sample + 1) * size <= tokens.count, "sample \(sample) is not there")
            copyRange(tokens, from: sample * size, to: &embedded, at: place * size, count: size)
        }
    }

    /// Computes the features at given parameters.
    ///
    /// - Parameter parameters: θ, in the layout's order.
    public mutating func forward(_ parameters: [Float]) {
        precondition(parameters.count == layout.count, "a parameter vector of the layout's length")
        let width = shape.width
        // The class token is trained, so it is added to the frozen tokens here, in a buffer of its own.
        copyRange(embedded, from: 0, to: &scratch.first, at: 0, count: scratch.rows * width)
        for sample in 0..<sampleCount {
            let start = sample * shape.positionCount * width
            for index in 0..<width { scratch.first[start + index] += parameters[layout.classTokenOffset + index] }
        }
        normalizationBefore.forward(parameters, scratch.first, to: &stream, rows: scratch.rows)
        for index in blocks.indices { blocks[index].forward(parameters, &stream, &scratch) }
        head.forward(parameters, stream, samples: sampleCount)
    }

    /// The Jacobian-vector product J τ: the change of the features along a direction of the parameters.
    ///
    /// - Parameters:
    ///   - parameters: θ, the same as in ``forward(_:)``.
    ///   - direction: τ, in the layout's order.
    public mutating func tangent(_ parameters: [Float], along direction: [Float]) {
        precondition(direction.count == layout.count, "a direction of the layout's length")
        let width = shape.width
        clear(&scratch.first, scratch.rows * width)
        for sample in 0..<sampleCount {
            copyRange(
                direction, from: layout.classTokenOffset, to: &scratch.first, at: sample * shape.positionCount * width,
                count: width)
        }
        normalizationBefore.tangent(
            parameters, direction, of: scratch.first, to: &stream, scratch: &scratch.second, rows: scratch.rows)
        for index in blocks.indices { blocks[index].tangent(parameters, direction, &stream, &scratch) }
        head.tangent(parameters, direction, stream, samples: sampleCount)
    }

    /// The vector-Jacobian product Jᵀ u, summed over the batch's samples.
    ///
    /// - Parameters:
    ///   - parameters: θ, the same as in ``forward(_:)``.
    ///   - featureGradient: u, `[samples, features]`.
    ///   - gradient: Jᵀ u is added to it, in the layout's order.
    public mutating func cotangent(_ parameters: [Float], of featureGradient: [Float], gradient: inout [Float]) {
        precondition(gradient.count == layout.count, "a gradient of the layout's length")
        let width = shape.width
        head.cotangent(parameters, featureGradient, to: &stream, gradient: &gradient, samples: sampleCount)
        for index in blocks.indices.reversed() {
            blocks[index].cotangent(parameters, &stream, gradient: &gradient, &scratch)
        }
        normalizationBefore.cotangent(
            parameters, stream, to: &scratch.first, adding: false, gradient: &gradient, samples: sampleCount,
            rowsPerSample: shape.positionCount)
        for sample in 0..<sampleCount {
            let start = sample * shape.positionCount * width
            for index in 0..<width {
                classTokenGradients[sample * width + index] = scratch.first[start + index]
                gradient[layout.classTokenOffset + index] += scratch.first[start + index]
            }
        }
    }

    // MARK: - What a capture keeps

    /// The rows of a linear layer in the last ``forward(_:)``, and their gradients in the last
    /// ``cotangent(_:of:gradient:)``.
    public struct LayerRows: Sendable {
        /// The layer.
        public let layer: ParameterLayout.Layer
        /// Rows of each sample: the positions, or 1.
        public let rowsPerSample: Int
        /// `[samples · rows per sample, d_in]`.
        public let inputs: ArraySlice<Float>
        /// `[samples · rows per sample, d_out]`.
        public let outputGradients: ArraySlice<Float>
    }

    /// The gradients of a one-dimensional parameter, sample by sample, in the last ``cotangent(_:of:gradient:)``.
    public struct VectorRows: Sendable {
        /// The parameter's name.
        public let name: String
        /// `[samples, d]`, summed over positions.
        public let gradients: ArraySlice<Float>
    }

    /// The rows of all linear layers, in the order of ``ParameterLayout/layers``.
    public var layerRows: [LayerRows] {
        blocks.flatMap(\.layers).map { rows(of: $0, rowsPerSample: shape.positionCount) }
            + [rows(of: head.projection, rowsPerSample: 1)]
    }

    /// The gradients of the parameters outside linear layers.
    public var vectorRows: [VectorRows] {
        let count = sampleCount * shape.width
        let normalizations = [normalizationBefore] + blocks.flatMap(\.normalizations) + [head.normalization]
        return [VectorRows(name: "cls_token", gradients: classTokenGradients[..<count])]
            + normalizations.flatMap { normalization in
                [
                    VectorRows(
                        name: "\(normalization.layout.name).weight", gradients: normalization.scaleGradients[..<count]),
                    VectorRows(
                        name: "\(normalization.layout.name).bias", gradients: normalization.shiftGradients[..<count]),
                ]
            }
    }

    private func rows(of layer: LinearLayer, rowsPerSample: Int) -> LayerRows {
        let rows = sampleCount * rowsPerSample
        return LayerRows(
            layer: layer.layout, rowsPerSample: rowsPerSample,
            inputs: layer.input[..<(rows * layer.layout.inputWidth)],
            outputGradients: layer.outputGradient[..<(rows * layer.layout.outputWidth)])
    }
}
