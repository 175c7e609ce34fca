public import ReferenceModel

/// The numbers that forms of curvature keep and share, by the shapes of a model alone.
///
/// Of a symmetric matrix the triangle with the diagonal counts. Rows count whole.
public struct FormSize: Sendable {
    /// A linear layer; the input width has the bias's 1.
    private struct Layer {
        let positions: Int
        let inputWidth: Int
        let outputWidth: Int
    }

    private let layers: [Layer]
    /// The numbers of an image.
    private let imageWidth: Int
    /// The lengths of one-dimensional parameters.
    private let vectors: [Int]

    /// The image encoder of CLIP ViT-B/32: twelve blocks of width 768 on 50 positions, and a feature of 512.
    ///
    /// As in the lab, the embeddings of patches and positions are frozen, and queries, keys and values are one layer.
    ///
    /// Source: Radford et al. 2021 (arXiv 2103.00020), table 20.
    public static let largeEncoder = FormSize(
        layers: (0..<12).flatMap { _ in
            [(768, 2304), (768, 768), (768, 3072), (3072, 768)].map {
                Layer(positions: 50, inputWidth: $0.0 + 1, outputWidth: $0.1)
            }
        } + [Layer(positions: 1, inputWidth: 768, outputWidth: 512)],
        // The class token; scale and shift of two normalisations of each block, and of one before and one after them.
        vectors: [Int](repeating: 768, count: 1 + 2 * (2 * 12 + 2)), imageWidth: 3 * 224 * 224)

    private init(layers: [Layer], vectors: [Int], imageWidth: Int) {
        self.layers = layers
        self.vectors = vectors
        self.imageWidth = imageWidth
    }

    /// The sizes for a model of the lab.
    public init(_ layout: ParameterLayout) {
        let blocks = JointLayout(layout).blocks
        layers = blocks.dropLast().map {
            Layer(positions: $0.positions, inputWidth: $0.inputWidth, outputWidth: $0.outputWidth)
        }
        vectors = layout.vectors.map(\.count)
        imageWidth = VisionTransformerShape.pixelCount
    }

    /// One task's K-FAC factors, or the sums of equation 8.
    public var factors: Int {
        layers.reduce(0) { $0 + triangleCount($1.inputWidth) + triangleCount($1.outputWidth) }
            + vectors.reduce(0) { $0 + triangleCount($1) }
    }

    /// A diagonal, or a task vector.
    public var diagonal: Int {
        layers.reduce(0) { $0 + $1.inputWidth * $1.outputWidth } + vectors.reduce(0, +)
    }

    /// Joint rows and their weights, two for each layer and position.
    ///
    /// - Parameters:
    ///   - inputs: Rows of inputs.
    ///   - gradients: Rows of gradients.
    ///   - buckets: The buckets into which the positions of a layer are pooled; nil keeps every position.
    /// - Returns: The number of elements.
    public func rows(inputs: Int, gradients: Int, buckets: Int? = nil) -> Int {
        func places(_ layer: Layer) -> Int { layer.positions == 1 ? 1 : buckets ?? layer.positions }
        return layers.reduce(0) { $0 + places($1) * (inputs * $1.inputWidth + gradients * $1.outputWidth + 2) }
            + inputs + gradients * vectors.reduce(0, +) + 2
    }

    /// A mixture of inputs: each component's mean and directions, its share and its number of images.
    public func mixture(components: Int, rank: Int) -> Int { components * (imageWidth * (1 + rank) + 2) }
}

/// The elements of a symmetric matrix's triangle, with its diagonal.
func triangleCount(_ side: Int) -> Int { side * (side + 1) / 2 }
