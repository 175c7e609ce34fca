import LinearAlgebra
import RowKernels

/// Multi-head attention over the positions of each sample: softmax(q kᵀ / √w) v, heads side by side.
///
/// Queries, keys and values are in one matrix `[rows, 3 · width]`, in this order. Inside each, heads are contiguous.
struct Attention: Sendable {
    private let width: Int
    private let headCount: Int
    private let positions: Int
    /// `[samples, heads, positions, positions]`.
    private var probabilities: [Float]
    private var scratch: [Float]

    init(shape: VisionTransformerShape, sampleCapacity: Int) {
        width = shape.width
        headCount = shape.headCount
        positions = shape.positionCount
        probabilities = Array(repeating: 0, count: sampleCapacity * headCount * positions * positions)
        scratch = probabilities
    }

    private var headWidth: Int { width / headCount }
    private var scale: Float { 1 / Float(headWidth).squareRoot() }

    /// The third of the fused matrix.
    private enum Part: Int { case queries, keys, values }

    /// The block of a head; heads are counted sample by sample.
    private func block(_ part: Part, _ index: Int) -> MatrixBlock {
        let (sample, head) = index.quotientAndRemainder(dividingBy: headCount)
        return MatrixBlock(
            rows: positions, columns: headWidth,
            offset: sample * positions * 3 * width + part.rawValue * width + head * headWidth, stride: 3 * width)
    }

    private func outputBlock(_ index: Int) -> MatrixBlock {
        let (sample, head) = index.quotientAndRemainder(dividingBy: headCount)
        return MatrixBlock(
            rows: positions, columns: headWidth, offset: sample * positions * width + head * headWidth, stride: width)
    }

    private func square(_ index: Int) -> MatrixBlock {
        MatrixBlock(rows: positions, columns: positions, offset: index * positions * positions)
    }

    mutating func forward(_ fused: [Float], to output: inout [Float], samples: Int) {
        for index in 0..<samples * headCount {
            BlockProduct.multiply(
                fused, block(.queries, index), .none, fused, block(.keys, index), .transposed,
                into: &probabilities, square(index), scale: scale)
        }
        RowKernels.softmax(&probabilities, rows: samples * headCount * positions, columns: positions)
        for index in 0..<samples * headCount {
            BlockProduct.multiply(
                probabilities, square(index), .none, fused, block(.values, index), .none,
                into: &output, outputBlock(index))
        }
    }

    /// With S = q kᵀ / √w and P = softmax(S): Ṡ = (q̇ kᵀ + q k̇ᵀ) / √w, ȯ = Ṗ v + P v̇.
    mutating func tangent(_ fused: [Float], of tangent: [Float], to output: inout [Float], samples: Int) {
        for index in 0..<samples * headCount {
            BlockProduct.multiply(
                tangent, block(.queries, index), .none, fused, block(.keys, index),
                .transposed, into: &scratch, square(index), scale: scale)
            BlockProduct.multiply(
                fused, block(.queries, index), .none, tangent, block(.keys, index),
                .transposed, into: &scratch, square(index), scale: scale, keeping: 1)
        }
        RowKernels.softmaxDerivative(
            probabilities, of: &scratch, rows: samples * headCount * positions, columns: positions)
        for index in 0..<samples * headCount {
            BlockProduct.multiply(
                scratch, square(index), .none, fused, block(.values, index), .none, into: &output,
                outputBlock(index))
            BlockProduct.multiply(
                probabilities, square(index), .none, tangent, block(.values, index), .none,
                into: &output, outputBlock(index), keeping: 1)
        }
    }

    /// With ō the gradient at the output: v̄ = Pᵀ ō, P̄ = ō vᵀ, q̄ = S̄ k / √w, k̄ = S̄ᵀ q / √w.
    mutating func cotangent(
        _ fused: [Float], _ outputGradient: [Float], to fusedGradient: inout [Float], samples: Int
    ) {
        for index in 0..<samples * headCount {
            BlockProduct.multiply(
                probabilities, square(index), .transposed, outputGradient, outputBlock(index), .none,
                into: &fusedGradient, block(.values, index))
            BlockProduct.multiply(
                outputGradient, outputBlock(index), .none, fused, block(.values, index), .transposed,
                into: &scratch, square(index))
        }
        RowKernels.softmaxDerivative(
            probabilities, of: &scratch, rows: samples * headCount * positions, columns: positions)
        for index in 0..<samples * headCount {
            BlockProduct.multiply(
                scratch, square(index), .none, fused, block(.keys, index), .none,
                into: &fusedGradient, block(.queries, index), scale: scale)
            BlockProduct.multiply(
                scratch, square(index), .transposed, fused, block(.queries, index), .none,
                into: &fusedGradient, block(.keys, index), scale: scale)
        }
    }
}
