import LinearAlgebra
import TestSupport
import Testing

struct SymmetricProductTests {
    private func random(_ count: Int, seed: UInt64) -> [Double] {
        var generator = SplitMix64(seed: seed)
        return generator.values(count)
    }

    private func matrix(columns: Int, _ values: [Double]) throws -> Matrix<Float> {
        try Matrix(rows: values.count / columns, columns: columns, elements: values.map { Float($0) })
    }

    @Test(arguments: [1, 2, 7, 33]) func `chunks add up to the sum of outer products`(columns: Int) throws {
        let rows = 50
        let values = random(rows * columns, seed: 1)
        let matrix = try matrix(columns: columns, values)
        var expected: [Double] = []
        for i in 0..<columns {
            for j in 0...i {
                expected.append((0..<rows).reduce(0) { $0 + values[$1 * columns + i] * values[$1 * columns + j] })
            }
        }
        var product = try SymmetricProduct<Float>()
        var sum = try PackedSymmetricMatrix<Double>(dimension: columns)
        try product.add(rows: 0..<13, of: matrix, to: &sum)
        try product.add(rows: 13..<13, of: matrix, to: &sum)
        try product.add(rows: 13..<rows, of: matrix, to: &sum)
        expectClose(sum.elements, expected, absolute: 1e-5)

        let wide = try Matrix<Double>(widening: matrix)
        var exact = try PackedSymmetricMatrix<Double>(dimension: columns)
        var exactProduct = try SymmetricProduct<Double>()
        try exactProduct.add(rows: 0..<rows, of: wide, to: &exact)
        expectClose(exact.elements, expected, absolute: 1e-13)
    }

    @Test func `the same chunks give the same bits`() throws {
        let matrix = try matrix(columns: 65, random(256 * 65, seed: 2))
        var runs: [[Double]] = []
        for _ in 0..<3 {
            var product = try SymmetricProduct<Float>()
            var sum = try PackedSymmetricMatrix<Double>(dimension: 65)
            for first in stride(from: 0, to: 256, by: 64) {
                try product.add(rows: first..<first + 64, of: matrix, to: &sum)
            }
            runs.append(sum.elements)
        }
        #expect(runs[0] == runs[1])
        #expect(runs[0] == runs[2])
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func `the first row that is not finite is named and the sum unchanged`(flaw: Float) throws {
        var matrix = try matrix(columns: 5, random(100, seed: 3))
        matrix[17, 0] = flaw
        matrix[11, 4] = flaw
        var product = try SymmetricProduct<Float>()
        var sum = try PackedSymmetricMatrix<Double>(dimension: 5)
        #expect(throws: LinearAlgebraError.nonFinite(row: 11)) {
            try product.add(rows: 0..<20, of: matrix, to: &sum)
        }
        #expect(sum.elements == [Double](repeating: 0, count: 15))
    }

    @Test func `finite rows whose squares overflow are told from infinite ones`() throws {
        var matrix = try matrix(columns: 5, random(100, seed: 3))
        matrix[7, 2] = -2e19
        var product = try SymmetricProduct<Float>()
        var sum = try PackedSymmetricMatrix<Double>(dimension: 5)
        #expect(throws: LinearAlgebraError.squareOverflow(row: 7, column: 2)) {
            try product.add(rows: 0..<20, of: matrix, to: &sum)
        }
        #expect(sum.elements == [Double](repeating: 0, count: 15))
    }

    @Test(arguments: [1, 8, 9, 31]) func `column sums are those of the rows`(rows: Int) throws {
        let columns = 21
        let values = random(rows * columns, seed: 4)
        let matrix = try matrix(columns: columns, values)
        var sums = [Double](repeating: 1, count: columns)
        var span = sums.mutableSpan
        try addColumnSums(ofRows: 0..<rows, of: matrix, to: &span)
        let expected = (0..<columns).map { column in
            (0..<rows).reduce(1.0) { $0 + values[$1 * columns + column] }
        }
        // All partial sums are multiples of 2^-23 below 2^7: exact in any order.
        #expect(sums == expected)
    }
}
