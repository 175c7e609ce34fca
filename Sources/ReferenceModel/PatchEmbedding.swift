import LinearAlgebra

/// The frozen first step: pixels → patches → tokens, plus positions.
///
/// The step has no task vector and no factor. So it is applied once to each image, not in every training step.
public struct PatchEmbedding: Sendable {
    /// The normalisation of pixels before the first layer: x = (u8 / 255 − 0.2) / 0.35.
    static let pixelMean: Float = 0.2
    static let pixelDeviation: Float = 0.35

    /// The model's sizes.
    public let shape: VisionTransformerShape
    /// `patch.weight`, `[width, pixels]`.
    public let weight: [Float]
    /// `patch.bias`, `[width]`.
    public let bias: [Float]
    /// `pos_embed`, `[positions, width]`; the class token's position comes first.
    public let positions: [Float]

    /// The embedding of a checkpoint.
    ///
    /// - Parameters:
    ///   - shape: The model's sizes.
    ///   - weight: `patch.weight`, `[width, pixels]`, pixels of a patch row by row.
    ///   - bias: `patch.bias`, `[width]`.
    ///   - positions: `pos_embed`, `[positions, width]`.
    public init(shape: VisionTransformerShape, weight: [Float], bias: [Float], positions: [Float]) {
        precondition(weight.count == shape.width * shape.patchPixelCount, "the patch weight has the model's shape")
        precondition(bias.count == shape.width, "the patch bias has the model's width")
        precondition(positions.count == shape.positionCount * shape.width, "the positions have the model's shape")
        self.shape = shape
        self.weight = weight
        self.bias = bias
        self.positions = positions
    }

    /// The tokens of some images.
    ///
    /// - Parameter images: `[samples, 28, 28]` grey pixels.
    /// - Returns: `[samples, positions, width]`. The first position of each sample holds only its position: the model
    ///   adds the class token, because it is trained.
    public func tokens(of images: [UInt8]) -> [Float] {
        let pixelCount = VisionTransformerShape.pixelCount
        let sampleCount = images.count / pixelCount
        let patchCount = shape.positionCount - 1
        let patches = patches(of: images, sampleCount: sampleCount)
        var tokens: [Float] = []
        tokens.reserveCapacity(sampleCount * positions.count)
        for _ in 0..<sampleCount { tokens += positions }
        for sample in 0..<sampleCount {
            for patch in 0..<patchCount {
                let start = (sample * shape.positionCount + patch + 1) * shape.width
                for index in 0..<shape.width { tokens[start + index] += bias[index] }
            }
            BlockProduct.multiply(
                patches,
                MatrixBlock(
                    rows: patchCount, columns: shape.patchPixelCount,
                    offset: sample * patchCount * shape.patchPixelCount), .none, weight,
                MatrixBlock(rows: shape.width, columns: shape.patchPixelCount), .transposed, into: &tokens,
                MatrixBlock(
                    rows: patchCount, columns: shape.width,
                    offset: (sample * shape.positionCount + 1) * shape.width), keeping: 1)
        }
        return tokens
    }

    /// Images as `[samples · patches, pixels]`, with patches row by row and the pixels of each patch row by row.
    private func patches(of images: [UInt8], sampleCount: Int) -> [Float] {
        let side = VisionTransformerShape.imageSide
        let (patchSide, perSide) = (shape.patchSide, shape.patchesPerSide)
        var patches: [Float] = []
        patches.reserveCapacity(images.count)
        for sample in 0..<sampleCount {
            for patch in 0..<perSide * perSide {
                let (top, left) = (patch / perSide * patchSide, patch % perSide * patchSide)
                for pixel in 0..<patchSide * patchSide {
                    let (row, column) = (top + pixel / patchSide, left + pixel % patchSide)
                    let value = Float(images[(sample * side + row) * side + column]) / 255
                    patches.append((value - Self.pixelMean) / Self.pixelDeviation)
                }
            }
        }
        return patches
    }
}
