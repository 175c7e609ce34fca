import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import TestSupport
import Testing

/// The merge `kfac` with a diagonal side is the merge with the whole matrix.
struct DiagonalMergeTests {
    private struct Side {
        let shape: SymmetricShape
        /// The stored elements of each task.
        let factors: [[Float]]

        /// The same factors with all elements.
        func whole() throws -> Side {
            Side(
                shape: .full(shape.dimension),
                factors: try factors.map { elements in
                    var whole = try PackedSymmetricMatrix<Float>(dimension: elements.count)
                    for (index, element) in elements.enumerated() { whole[index, index] = element }
                    return whole.elements
                })
        }
    }

    private func merged(_ input: Side, _ gradient: Side, _ deltas: [[Double]]) throws -> [Double] {
        let lambdas = [0.25, 0.75]
        let problem = MergeProblem(
            shape: .layer(outputs: gradient.shape, inputs: input.shape),
            models: lambdas.map { MergedModel(lambda: $0) }, damping: try Damping(.relative, 0.1))
        var merge = try KfacMerge(problem)
        while let pass = merge.nextPass {
            for (task, model) in problem.models.enumerated() {
                let factors = TaskFactors.layer(
                    LayerFactors(
                        input: .single(
                            try PackedSymmetricMatrix(shape: input.shape, elements: input.factors[task])),
                        gradient: .single(
                            try PackedSymmetricMatrix(shape: gradient.shape, elements: gradient.factors[task]))))
                if pass == .factors {
                    try merge.addFactors(factors, of: model)
                } else {
                    let values = try Matrix<Double>(
                        rows: gradient.shape.dimension, columns: input.shape.dimension, elements: deltas[task])
                    try merge.add(values, factors: factors, of: model)
                }
            }
            try merge.endPass()
        }
        return try merge.finish().intoValues().elements
    }

    /// The diagonal is the larger or the smaller side, of A or of B; an index that no task saw is pinned.
    @Test(arguments: [(9, 3), (2, 4)])
    func `a diagonal side merges as the matrix of its diagonal`(size: (vocabulary: Int, width: Int)) throws {
        var random = SplitMix64(seed: 8)
        let counts = Side(
            shape: .diagonal(size.vocabulary),
            factors: (0..<2).map { _ in [0] + random.values(size.vocabulary - 1).map { Float($0 * $0) } })
        let square = Side(
            shape: .full(size.width),
            factors: try (0..<2).map { _ in
                var sum = try PackedSymmetricMatrix<Float>(dimension: size.width)
                for _ in 0..<3 * size.width {
                    let row = random.values(size.width)
                    for first in 0..<size.width {
                        for second in 0...first { sum[first, second] += Float(row[first] * row[second]) }
                    }
                }
                return sum.elements
            })
        let deltas = (0..<2).map { _ in random.values(size.vocabulary * size.width) }
        for (found, expected) in zip(
            try merged(counts, square, deltas), try merged(counts.whole(), square, deltas))
        {
            #expect(abs(found - expected) < 1e-9)
        }
        for (found, expected) in zip(
            try merged(square, counts, deltas), try merged(square, counts.whole(), deltas))
        {
            #expect(abs(found - expected) < 1e-9)
        }
    }

    @Test func `a diagonal side of a large vocabulary costs no square`() {
        let (vocabulary, width) = (128_000, 4096)
        let cost = KfacMerge.cost(of: .layer(outputs: .full(width), inputs: .diagonal(vocabulary)), models: 2)
        #expect(cost.numbers < 8 * Double(vocabulary * width))
        #expect(cost.multiplyAdds < 10 * Double(vocabulary * width) * Double(width))
    }
}
