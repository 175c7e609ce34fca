import LinearAlgebra
import TestSupport
import Testing

/// Products of blocks against a triple loop in fp64.
struct BlockProductTests {
    /// An array with a block inside it, and elements before, between and after its rows.
    private struct Placed {
        let array: [Float]
        let block: MatrixBlock

        init(rows: Int, columns: Int, offset: Int, gap: Int, random: inout SplitMix64) {
            block = MatrixBlock(rows: rows, columns: columns, offset: offset, stride: columns + gap)
            array = random.values(offset + rows * (columns + gap) + 4).map { Float($0) }
        }

        func index(_ row: Int, _ column: Int) -> Int { block.offset + row * block.stride + column }

        func element(_ row: Int, _ column: Int, _ operation: Transposition) -> Double {
            Double(array[operation == .none ? index(row, column) : index(column, row)])
        }
    }

    private struct Sizes: CustomTestStringConvertible {
        let rows: Int
        let columns: Int
        let inner: Int
        var testDescription: String { "\(rows) × \(inner) · \(inner) × \(columns)" }
    }

    private static let sizes = [
        Sizes(rows: 1, columns: 1, inner: 1), Sizes(rows: 5, columns: 5, inner: 12),
        Sizes(rows: 17, columns: 16, inner: 17), Sizes(rows: 3, columns: 64, inner: 24),
        Sizes(rows: 40, columns: 7, inner: 33), Sizes(rows: 67, columns: 67, inner: 67),
    ]
    private static let operations: [(Transposition, Transposition)] = [
        (.none, .none), (.none, .transposed), (.transposed, .none), (.transposed, .transposed),
    ]

    private func placed(
        _ operation: Transposition, _ rows: Int, _ columns: Int, offset: Int, gap: Int, _ random: inout SplitMix64
    ) -> Placed {
        operation == .none
            ? Placed(rows: rows, columns: columns, offset: offset, gap: gap, random: &random)
            : Placed(rows: columns, columns: rows, offset: offset, gap: gap, random: &random)
    }

    /// The array after the product: the block by the triple loop, the rest unchanged.
    private func expected(
        _ left: Placed, _ right: Placed, _ operations: (Transposition, Transposition), _ result: Placed, inner: Int,
        scale: Double, keeping: Double
    ) -> [Double] {
        var expected = result.array.map(Double.init)
        for row in 0..<result.block.rows {
            for column in 0..<result.block.columns {
                let product = (0..<inner).reduce(0) {
                    $0 + left.element(row, $1, operations.0) * right.element($1, column, operations.1)
                }
                let place = result.index(row, column)
                expected[place] = scale * product + keeping * expected[place]
            }
        }
        return expected
    }

    @Test(arguments: sizes, operations)
    private func `blocks with offsets and strides multiply, and nothing around the result changes`(
        sizes: Sizes, operations: (Transposition, Transposition)
    ) {
        var random = SplitMix64(seed: 51)
        let left = placed(operations.0, sizes.rows, sizes.inner, offset: 5, gap: 3, &random)
        let right = placed(operations.1, sizes.inner, sizes.columns, offset: 2, gap: 1, &random)
        let result = placed(.none, sizes.rows, sizes.columns, offset: 7, gap: 4, &random)
        for (scale, keeping) in [(1, 0), (1, 1), (0.25, 0), (-2, 0.5), (0, 1)] as [(Float, Float)] {
            var found = result.array
            BlockProduct.multiply(
                left.array, left.block, operations.0, right.array, right.block, operations.1, into: &found,
                result.block, scale: scale, keeping: keeping)
            // Up to 67 products below 1; partial sums below 8 are each rounded at 6e-8; the sum is scaled by 2 at most.
            expectClose(
                found,
                expected(
                    left, right, operations, result, inner: sizes.inner, scale: Double(scale),
                    keeping: Double(keeping)), absolute: 1e-5)
            let inside = Set(
                (0..<sizes.rows).flatMap { row in
                    (0..<sizes.columns).map { result.index(row, $0) }
                })
            #expect(found.indices.allSatisfy { inside.contains($0) || found[$0] == result.array[$0] })
        }
    }

    @Test func `without a stride rows follow each other, and nothing is scaled or kept`() {
        var result: [Float] = [9, .nan, .nan, .nan, .nan, 9]
        BlockProduct.multiply(
            [1, 2, 3, 4], MatrixBlock(rows: 2, columns: 2), .none, [0, 5, 6, 7, 8],
            MatrixBlock(rows: 2, columns: 2, offset: 1), into: &result, MatrixBlock(rows: 2, columns: 2, offset: 1))
        #expect(result == [9, 19, 22, 43, 50, 9])
    }

    @Test func `blocks of one array multiply like blocks of two`() {
        // Queries and keys are side by side in one matrix.
        let fused: [Float] = [1, 2, 5, 6, 3, 4, 7, 8]
        let (queries, keys) = (
            MatrixBlock(rows: 2, columns: 2, stride: 4), MatrixBlock(rows: 2, columns: 2, offset: 2, stride: 4)
        )
        var result: [Float] = [0, 0, 0, 0]
        BlockProduct.multiply(
            fused, queries, .none, fused, keys, .transposed, into: &result, MatrixBlock(rows: 2, columns: 2))
        #expect(result == [17, 23, 39, 53])
    }

    @Test func `no rows change nothing`() {
        var result: [Float] = [1, 2]
        BlockProduct.multiply(
            [], MatrixBlock(rows: 0, columns: 3), .none, [1, 2, 3, 4, 5, 6], MatrixBlock(rows: 3, columns: 2),
            into: &result, MatrixBlock(rows: 0, columns: 2))
        #expect(result == [1, 2])
    }
}
