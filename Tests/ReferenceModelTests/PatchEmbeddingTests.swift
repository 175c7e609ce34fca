import ReferenceModel
import TestSupport
import Testing

/// Tokens against their definition, pixel by pixel in fp64.
struct PatchEmbeddingTests {
    private static let side = 28

    private func embedding(_ layout: ParameterLayout, _ random: inout SplitMix64) -> PatchEmbedding {
        let shape = layout.shape
        func values(_ count: Int) -> [Float] { random.values(count).map { Float($0) } }
        return PatchEmbedding(
            shape: shape, weight: values(shape.width * shape.patchPixelCount), bias: values(shape.width),
            positions: values(shape.positionCount * shape.width))
    }

    /// The token of a patch: ⟨weight row, pixels⟩ + bias + position.
    private func token(_ embedding: PatchEmbedding, image: ArraySlice<UInt8>, patch: Int, column: Int) -> Double {
        let (shape, pixels) = (embedding.shape, Array(image))
        let (patchRow, patchColumn) = (patch / shape.patchesPerSide, patch % shape.patchesPerSide)
        var sum = Double(embedding.bias[column]) + Double(embedding.positions[(patch + 1) * shape.width + column])
        for y in 0..<shape.patchSide {
            for x in 0..<shape.patchSide {
                let pixel = pixels[(patchRow * shape.patchSide + y) * Self.side + patchColumn * shape.patchSide + x]
                let weight = embedding.weight[column * shape.patchPixelCount + y * shape.patchSide + x]
                sum += Double(weight) * (Double(pixel) / 255 - 0.2) / 0.35
            }
        }
        return sum
    }

    @Test(arguments: ModelShape.all)
    func `tokens are patches times the weight, with bias and position`(shape: ModelShape) throws {
        var random = SplitMix64(seed: 61)
        let layout = try shape.layout
        let embedding = embedding(layout, &random)
        let (positions, width) = (layout.shape.positionCount, layout.shape.width)
        let images = (0..<3 * Self.side * Self.side).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        let found = embedding.tokens(of: images)
        #expect(found.count == 3 * positions * width)
        var expected: [Double] = []
        for sample in 0..<3 {
            let image = images[(sample * Self.side * Self.side)..<((sample + 1) * Self.side * Self.side)]
            expected += embedding.positions[..<width].map(Double.init)
            for patch in 0..<positions - 1 {
                for column in 0..<width {
                    expected.append(token(embedding, image: image, patch: patch, column: column))
                }
            }
        }
        // Up to 784 products below 2.3 are summed. Their partial sums, about 30, are each rounded at 6e-8, in BLAS's
        // order.
        expectClose(found, expected, absolute: 6e-5)
    }

    @Test func `no images have no tokens`() throws {
        var random = SplitMix64(seed: 62)
        #expect(try embedding(ModelShape.small.layout, &random).tokens(of: []).isEmpty)
    }
}
