import ReferenceModel
import Testing

struct VisionTransformerShapeTests {
    @Test func `derived sizes follow from the given ones`() throws {
        let shape = try VisionTransformerShape(
            width: 64, depth: 3, headCount: 4, hiddenRatio: 4, patchSide: 7, featureWidth: 32)
        #expect(shape.patchPixelCount == 49)
        #expect(shape.patchesPerSide == 4)
        #expect(shape.positionCount == 17)
        #expect(shape.hiddenWidth == 256)
        #expect(shape.headWidth == 16)
    }

    /// The error message for a shape with some impossible sizes.
    private func message(
        width: Int = 24, depth: Int = 2, headCount: Int = 2, hiddenRatio: Int = 2, patchSide: Int = 14,
        featureWidth: Int = 24
    ) -> String? {
        #expect(throws: ReferenceModelError.self) {
            try VisionTransformerShape(
                width: width, depth: depth, headCount: headCount, hiddenRatio: hiddenRatio, patchSide: patchSide,
                featureWidth: featureWidth)
        }?.description
    }

    @Test func `a size that is 0, negative or far too large is refused`() {
        let beginning = "The model's shape is not possible: every size must lie between 1 and 4096, found "
        #expect(message(width: 0) == beginning + "[0, 2, 2, 2, 14, 24].")
        #expect(message(headCount: -1) == beginning + "[24, 2, -1, 2, 14, 24].")
        #expect(message(patchSide: 0) == beginning + "[24, 2, 2, 2, 0, 24].")
        #expect(message(featureWidth: .max) == beginning + "[24, 2, 2, 2, 14, \(Int.max)].")
    }

    @Test func `too many blocks are refused`() {
        #expect(
            message(depth: 257)
                == "The model's shape is not possible: there may be at most 256 blocks, found 257.")
    }

    @Test func `a hidden layer that is too wide is refused`() {
        #expect(
            message(hiddenRatio: 17)
                == "The model's shape is not possible: hidden layers may be at most 16 times the width, found 17.")
    }

    @Test func `heads that do not divide the width are refused`() {
        #expect(
            message(headCount: 5) == "The model's shape is not possible: 5 heads do not divide the width 24.")
    }

    @Test func `patches that do not tile an image are refused`() {
        #expect(
            message(patchSide: 9)
                == "The model's shape is not possible: patches of 9 pixels do not tile a side of 28.")
    }
}
