public import LinearAlgebra

/// The place of each trainable parameter in a flat vector; task vectors, gradients and optimiser states share it.
///
/// The patch embedding and the positions are frozen. They belong to ``PatchEmbedding`` and have no place here.
public struct ParameterLayout: Sendable {
    /// A parameter's place.
    public struct Entry: Equatable, Sendable {
        /// The parameter's name in a checkpoint.
        public let name: String
        /// `[d]`, or `[d_out, d_in]`.
        public let shape: [Int]
        /// Index of the first element.
        public let offset: Int

        /// Number of elements.
        public var count: Int { shape.reduce(1, *) }
        /// The elements.
        public var range: Range<Int> { offset..<offset + count }
    }

    /// A linear layer: its weight and, if it has one, its bias.
    public struct Layer: Equatable, Sendable {
        /// The module path: parameters are `<name>.weight` and `<name>.bias`.
        public let name: String
        /// The weight, `[d_out, d_in]`.
        public let weight: MatrixBlock
        /// Index of the bias's first element, or nil.
        public let biasOffset: Int?

        /// d_in.
        public var inputWidth: Int { weight.columns }
        /// d_out.
        public var outputWidth: Int { weight.rows }
    }

    /// Places of a layer normalisation's two parameters.
    struct Normalization: Sendable {
        let name: String
        let scaleOffset: Int
        let shiftOffset: Int
    }

    /// Places of a block's parameters.
    struct Block: Sendable {
        let normalization1: Normalization
        let queriesKeysValues: Layer
        let attentionOutput: Layer
        let normalization2: Normalization
        let hidden: Layer
        let hiddenOutput: Layer
    }

    /// The model's sizes.
    public let shape: VisionTransformerShape
    /// All trainable parameters, in the order of the vector.
    public let entries: [Entry]
    /// The linear layers in the order of the model.
    public let layers: [Layer]
    let classTokenOffset: Int
    let normalizationBefore: Normalization
    let blocks: [Block]
    let normalizationAfter: Normalization
    let projection: Layer

    /// The layout of a model.
    public init(shape: VisionTransformerShape) {
        var builder = LayoutBuilder()
        classTokenOffset = builder.add("cls_token", [shape.width])
        normalizationBefore = builder.addNormalization("ln_pre", width: shape.width)
        blocks = (0..<shape.depth).map { builder.addBlock("blocks.\($0)", shape: shape) }
        normalizationAfter = builder.addNormalization("ln_post", width: shape.width)
        projection = builder.addLayer(
            "lin_proj", outputs: shape.featureWidth, inputs: shape.width, hasBias: false)
        self.shape = shape
        entries = builder.entries
        layers =
            blocks.flatMap { [$0.queriesKeysValues, $0.attentionOutput, $0.hidden, $0.hiddenOutput] } + [projection]
    }

    /// Number of trainable parameters.
    public var count: Int { entries.last?.range.upperBound ?? 0 }

    /// One-dimensional parameters outside linear layers: class token, scales and shifts.
    public var vectors: [Entry] {
        let biases = Set(layers.map { "\($0.name).bias" })
        return entries.filter { $0.shape.count == 1 && !biases.contains($0.name) }
    }
}

/// Assigns places one after the other.
private struct LayoutBuilder {
    var entries: [ParameterLayout.Entry] = []

    mutating func add(_ name: String, _ shape: [Int]) -> Int {
        let offset = entries.last?.range.upperBound ?? 0
        entries.append(ParameterLayout.Entry(name: name, shape: shape, offset: offset))
        return offset
    }

    mutating func addNormalization(_ name: String, width: Int) -> ParameterLayout.Normalization {
        ParameterLayout.Normalization(
            name: name, scaleOffset: add("\(name).weight", [width]), shiftOffset: add("\(name).bias", [width]))
    }

    mutating func addLayer(_ name: String, outputs: Int, inputs: Int, hasBias: Bool) -> ParameterLayout.Layer {
        let weight = add("\(name).weight", [outputs, inputs])
        return ParameterLayout.Layer(
            name: name, weight: MatrixBlock(rows: outputs, columns: inputs, offset: weight),
            biasOffset: hasBias ? add("\(name).bias", [outputs]) : nil)
    }

    mutating func addBlock(_ name: String, shape: VisionTransformerShape) -> ParameterLayout.Block {
        let (width, hidden) = (shape.width, shape.hiddenWidth)
        return ParameterLayout.Block(
            normalization1: addNormalization("\(name).ln1", width: width),
            queriesKeysValues: addLayer("\(name).qkv", outputs: 3 * width, inputs: width, hasBias: true),
            attentionOutput: addLayer("\(name).proj", outputs: width, inputs: width, hasBias: true),
            normalization2: addNormalization("\(name).ln2", width: width),
            hidden: addLayer("\(name).fc1", outputs: hidden, inputs: width, hasBias: true),
            hiddenOutput: addLayer("\(name).fc2", outputs: width, inputs: hidden, hasBias: true))
    }
}
