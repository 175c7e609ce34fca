import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

struct BlockDiagonalTests {
    private let penalty: CurvaturePenalty

    /// Makes factors without a single zero.
    init() throws {
        let layout = try TinyModel().base.layout
        var random = SplitMix64(seed: 5)
        func values(_ side: Int) -> [Float] { random.values(side * side).map { Float($0) + 2 } }
        penalty = CurvaturePenalty(
            layers: layout.layers.map { layer in
                .init(
                    layer: layer, weight: 0.5, input: values(layer.inputWidth + (layer.biasOffset == nil ? 0 : 1)),
                    gradient: values(layer.outputWidth))
            }, vectors: layout.vectors.map { .init(entry: $0, weight: 0.25, block: values($0.count)) })
    }

    /// The matrix with the blocks between these bounds; all other elements are 0.
    private func keeping(_ bounds: [Int], of matrix: [Float]) -> [Float] {
        var kept = [Float](repeating: 0, count: matrix.count)
        let side = bounds.last ?? 0
        for (start, end) in zip(bounds, bounds.dropFirst()) {
            for row in start..<end {
                for column in start..<end { kept[row * side + column] = matrix[row * side + column] }
            }
        }
        return kept
    }

    @Test func `blocks stay, and what is between them is 0`() {
        let found = penalty.blockDiagonal(4)
        for (term, whole) in zip(found.layers, penalty.layers) {
            // The blocks do not divide the sides 9 and 17, which include the bias, so the last blocks are smaller.
            let bounds = [
                6: [0, 2, 4, 6], 8: [0, 2, 4, 6, 8], 9: [0, 3, 6, 9], 16: [0, 4, 8, 12, 16], 17: [0, 5, 10, 15, 17],
                24: [0, 6, 12, 18, 24],
            ]
            #expect(term.input == keeping(bounds[whole.inputSide] ?? [], of: whole.input))
            #expect(term.gradient == keeping(bounds[whole.layer.outputWidth] ?? [], of: whole.gradient))
            #expect(term.weight == 0.5)
        }
    }

    @Test func `full blocks of vectors stay whole`() {
        let found = penalty.blockDiagonal(4)
        #expect(found.vectors.map(\.block) == penalty.vectors.map(\.block))
        #expect(found.vectors.allSatisfy { $0.weight == 0.25 })
    }

    @Test func `one block changes nothing, and a block an element leaves the diagonal`() {
        #expect(penalty.blockDiagonal(1).layers.map(\.input) == penalty.layers.map(\.input))
        for (term, whole) in zip(penalty.blockDiagonal(1000).layers, penalty.layers) {
            #expect(term.gradient == keeping(Array(0...whole.layer.outputWidth), of: whole.gradient))
        }
    }
}
