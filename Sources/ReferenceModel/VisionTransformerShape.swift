/// The sizes of the small vision transformer that the lab trains and merges.
///
/// Images of 28 × 28 grey pixels are cut into square patches. A class token comes before the patches. The feature is
/// the normalised projection of the class token after the last block.
public struct VisionTransformerShape: Equatable, Hashable, Sendable {
    /// Length of an image's side in pixels.
    public static let imageSide = 28
    /// The pixels of an image.
    public static let pixelCount = imageSide * imageSide

    /// Width of the residual stream.
    public let width: Int
    /// Number of blocks.
    public let depth: Int
    /// Attention heads of a block; they divide `width`.
    public let headCount: Int
    /// Width of a block's hidden layer divided by `width`.
    public let hiddenRatio: Int
    /// Length of a patch's side in pixels; divides ``imageSide``.
    public let patchSide: Int
    /// Length of a feature.
    public let featureWidth: Int

    /// A shape.
    /// - Throws: ``ReferenceModelError/invalidShape(_:)`` for sizes that do not fit together.
    public init(
        width: Int, depth: Int, headCount: Int, hiddenRatio: Int, patchSide: Int, featureWidth: Int
    ) throws(ReferenceModelError) {
        // The limits are far above any model of this program, and low enough that no product overflows.
        let sizes = [width, depth, headCount, hiddenRatio, patchSide, featureWidth]
        guard sizes.allSatisfy({ 1...4096 ~= $0 }) else {
            throw .invalidShape("every size must lie between 1 and 4096, found \(sizes)")
        }
        guard depth <= 256 else {
            throw .invalidShape("there may be at most 256 blocks, found \(depth)")
        }
        guard hiddenRatio <= 16 else {
            throw .invalidShape("hidden layers may be at most 16 times the width, found \(hiddenRatio)")
        }
        guard width.isMultiple(of: headCount) else {
            throw .invalidShape("\(headCount) heads do not divide the width \(width)")
        }
        guard Self.imageSide.isMultiple(of: patchSide) else {
            throw .invalidShape("patches of \(patchSide) pixels do not tile a side of \(Self.imageSide)")
        }
        self.width = width
        self.depth = depth
        self.headCount = headCount
        self.hiddenRatio = hiddenRatio
        self.patchSide = patchSide
        self.featureWidth = featureWidth
    }

    /// Pixels of a patch.
    public var patchPixelCount: Int { patchSide * patchSide }
    /// Patches along a side.
    public var patchesPerSide: Int { Self.imageSide / patchSide }
    /// Positions of a sample: the class token, then the patches.
    public var positionCount: Int { patchesPerSide * patchesPerSide + 1 }
    /// Width of a block's hidden layer.
    public var hiddenWidth: Int { width * hiddenRatio }
    /// Width of one attention head.
    public var headWidth: Int { width / headCount }
}
