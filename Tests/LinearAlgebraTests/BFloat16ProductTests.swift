import LinearAlgebra
import TestSupport
import Testing

/// Products in bfloat16; `XᵀX` of each test is checked against its definition, one addition at a time.
@Suite(.enabled(if: ProductArithmetic.exactBFloat16.isSupported))
struct BFloat16ProductTests {
    /// Rows of elements that are exact in bfloat16, of very different sizes.
    private func rows(_ count: Int, columns: Int, seed: UInt64) throws -> Matrix<Float> {
        var generator = SplitMix64(seed: seed)
        let elements = generator.values(count * columns).enumerated().map { index, value in
            bfloat16(Float(value) * Float(1 << (index % 9)))
        }
        return try Matrix(rows: count, columns: columns, elements: elements)
    }

    private func bfloat16(_ value: Float) -> Float { Float(bitPattern: value.bitPattern & 0xffff_0000) }

    private func product(
        _ arithmetic: ProductArithmetic, rows: Range<Int>, of matrix: borrowing Matrix<Float>
    ) throws -> [Double] {
        var product = try SymmetricProduct<Float>(arithmetic)
        var sum = try PackedSymmetricMatrix<Double>(dimension: matrix.columnCount)
        try product.add(rows: rows, of: matrix, to: &sum)
        return sum.elements
    }

    /// The definition: blocks of 256 rows; of two rows the second one's product is added first.
    private func defined(rows: Range<Int>, of matrix: borrowing Matrix<Float>) -> [Double] {
        var elements: [Double] = []
        for row in 0..<matrix.columnCount {
            for column in 0...row {
                var sum: Float = 0
                for block in stride(from: rows.lowerBound, to: rows.upperBound, by: 256) {
                    let end = min(block + 256, rows.upperBound)
                    var own: Float = 0
                    for first in stride(from: block, to: end, by: 2) {
                        if first + 1 < end { own += matrix[first + 1, row] * matrix[first + 1, column] }
                        own += matrix[first, row] * matrix[first, column]
                    }
                    sum = block == rows.lowerBound ? own : sum + own
                }
                elements.append(Double(sum))
            }
        }
        return elements
    }

    @Test(arguments: [1, 2, 7, 8, 15, 16, 17, 47, 48, 49, 65, 97, 144])
    func `the bits are those of the definition, whatever the shape`(columns: Int) throws {
        for count in [1, 2, 3, 255, 256, 257, 513, 700] {
            let matrix = try rows(count, columns: columns, seed: UInt64(columns * 1000 + count))
            #expect(try product(.exactBFloat16, rows: 0..<count, of: matrix) == defined(rows: 0..<count, of: matrix))
        }
    }

    @Test func `a range of rows is a product of its own, and one scratch serves shapes in turn`() throws {
        var product = try SymmetricProduct<Float>(.exactBFloat16)
        for columns in [130, 3, 61] {
            let matrix = try rows(300, columns: columns, seed: 5)
            var sum = try PackedSymmetricMatrix<Double>(dimension: columns)
            try product.add(rows: 3..<7, of: matrix, to: &sum)
            try product.add(rows: 7..<300, of: matrix, to: &sum)
            let expected = zip(defined(rows: 3..<7, of: matrix), defined(rows: 7..<300, of: matrix)).map { $0 + $1 }
            #expect(sum.elements == expected)
        }
    }

    @Test(arguments: [Float(bitPattern: 0x3f80_0001), Float.leastNormalMagnitude / 2])
    func `one element that is not exact, or is subnormal, makes the whole chunk one of other rows`(
        element: Float
    ) throws {
        for (row, column) in [(0, 0), (599, 64), (300, 33)] {
            var matrix = try rows(600, columns: 65, seed: 6)
            matrix[row, column] = element
            #expect(
                try product(.exactBFloat16, rows: 0..<600, of: matrix)
                    == product(.fusedMultiplyAdd, rows: 0..<600, of: matrix))
        }
    }

    @Test func `it agrees with fp64 as well as the BLAS does`() throws {
        let matrix = try rows(2048, columns: 100, seed: 7)
        var exact = try PackedSymmetricMatrix<Double>(dimension: 100)
        var wide = try SymmetricProduct<Double>()
        try wide.add(rows: 0..<2048, of: try Matrix<Double>(widening: matrix), to: &exact)
        let found = try product(.exactBFloat16, rows: 0..<2048, of: matrix)
        for row in 0..<100 {
            for column in 0...row {
                let scale = (exact[row, row] * exact[column, column]).squareRoot()
                #expect(abs(found[row * (row + 1) / 2 + column] - exact[row, column]) <= 2e-6 * scale)
            }
        }
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func `the first row that is not finite is named, and the sum unchanged`(flaw: Float) throws {
        var matrix = try rows(600, columns: 50, seed: 8)
        matrix[517, 0] = flaw
        matrix[411, 49] = flaw
        var product = try SymmetricProduct<Float>(.exactBFloat16)
        var sum = try PackedSymmetricMatrix<Double>(dimension: 50)
        #expect(throws: LinearAlgebraError.nonFinite(row: 411)) { try product.add(rows: 0..<600, of: matrix, to: &sum) }
        matrix[517, 0] = -0x1p64
        matrix[411, 49] = 0
        #expect(throws: LinearAlgebraError.squareOverflow(row: 517, column: 0)) {
            try product.add(rows: 0..<600, of: matrix, to: &sum)
        }
        #expect(sum.elements.allSatisfy { $0 == 0 })
    }
}
