import TestSupport
import Testing

@testable import LinearAlgebra

/// Products of narrow rows by fused multiply-adds; `XᵀX` of each test is checked against its definition, one fused
/// multiply-add at a time.
@Suite(.enabled(if: ProductArithmetic.fusedMultiplyAdd.isSupported))
struct FusedProductTests {
    private static let instructions = FusedInstructions.allCases.filter(\.isSupported)

    /// Rows of elements of very different sizes and all digits.
    private func elements(_ count: Int, columns: Int, seed: UInt64) -> [Float] {
        var generator = SplitMix64(seed: seed)
        return generator.values(count * columns).enumerated().map { index, value in
            Float(value) * Float(1 << (index % 9))
        }
    }

    private func product(
        _ arithmetic: ProductArithmetic = .fusedMultiplyAdd, by instructions: FusedInstructions? = .best,
        rows: Range<Int>, of matrix: borrowing Matrix<Float>
    ) throws -> [Double] {
        var product = try SymmetricProduct<Float>(arithmetic, fused: instructions)
        var sum = try PackedSymmetricMatrix<Double>(dimension: matrix.columnCount)
        try product.add(rows: rows, of: matrix, to: &sum)
        return sum.elements
    }

    /// The definition: blocks of 128 rows, each from zero by one fused multiply-add for each row.
    private func defined(_ elements: [Float], rows: Range<Int>, columns: Int) -> [Double] {
        var sums: [Double] = []
        for row in 0..<columns {
            for column in 0...row {
                var sum: Float = 0
                for block in stride(from: rows.lowerBound, to: rows.upperBound, by: 128) {
                    var own: Float = 0
                    for index in block..<min(block + 128, rows.upperBound) {
                        own.addProduct(elements[index * columns + row], elements[index * columns + column])
                    }
                    sum = block == rows.lowerBound ? own : sum + own
                }
                sums.append(Double(sum))
            }
        }
        return sums
    }

    @Test(arguments: [1, 2, 3, 6, 7, 15, 16, 17, 33, 47, 48, 49, 63, 64, 65, 97])
    func `the bits are those of the definition, whatever the shape and the instructions`(columns: Int) throws {
        for count in [1, 2, 127, 128, 129, 300] {
            let elements = elements(count, columns: columns, seed: UInt64(columns * 1000 + count))
            let matrix = try Matrix(rows: count, columns: columns, elements: elements)
            let expected = defined(elements, rows: 0..<count, columns: columns)
            for instructions in Self.instructions {
                #expect(try product(by: instructions, rows: 0..<count, of: matrix) == expected, "\(instructions)")
            }
        }
    }

    @Test(arguments: [191, 193, ProductArithmetic.fusedColumnCountMax])
    func `the bits are those of the definition in the widest rows too`(columns: Int) throws {
        let elements = elements(131, columns: columns, seed: UInt64(columns))
        let matrix = try Matrix(rows: 131, columns: columns, elements: elements)
        let expected = defined(elements, rows: 0..<131, columns: columns)
        for instructions in Self.instructions {
            #expect(try product(by: instructions, rows: 0..<131, of: matrix) == expected, "\(instructions)")
        }
    }

    @Test func `a range of rows is a product of its own, and one scratch serves shapes in turn`() throws {
        for instructions in Self.instructions {
            var product = try SymmetricProduct<Float>(.fusedMultiplyAdd, fused: instructions)
            for columns in [130, 3, 61] {
                let elements = elements(300, columns: columns, seed: 5)
                let matrix = try Matrix(rows: 300, columns: columns, elements: elements)
                var sum = try PackedSymmetricMatrix<Double>(dimension: columns)
                for rows in [3..<7, 7..<300] { try product.add(rows: rows, of: matrix, to: &sum) }
                let expected = zip(
                    defined(elements, rows: 3..<7, columns: columns), defined(elements, rows: 7..<300, columns: columns)
                ).map { $0 + $1 }
                #expect(sum.elements == expected)
            }
        }
    }

    @Test func `wider rows, and all rows without the instructions, have the bits of the BLAS`() throws {
        for (columns, instructions) in [
            (ProductArithmetic.fusedColumnCountMax + 1, FusedInstructions.best), (65, nil),
        ] {
            let matrix = try Matrix(rows: 200, columns: columns, elements: elements(200, columns: columns, seed: 6))
            let found = try product(by: instructions, rows: 0..<200, of: matrix)
            #expect(try found == product(.blas, rows: 0..<200, of: matrix))
        }
    }

    @Test(arguments: [1, 3, 63, 65, 191, 193])
    func `it agrees with fp64 as well as the BLAS does`(columns: Int) throws {
        let matrix = try Matrix(rows: 1001, columns: columns, elements: elements(1001, columns: columns, seed: 7))
        var exact = try PackedSymmetricMatrix<Double>(dimension: columns)
        var wide = try SymmetricProduct<Double>(.fusedMultiplyAdd)
        try wide.add(rows: 0..<1001, of: try Matrix<Double>(widening: matrix), to: &exact)
        let found = try product(rows: 0..<1001, of: matrix)
        for row in 0..<columns {
            for column in 0...row {
                let scale = (exact[row, row] * exact[column, column]).squareRoot()
                #expect(abs(found[row * (row + 1) / 2 + column] - exact[row, column]) <= 2e-6 * scale)
            }
        }
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func `the first row that is not finite is named, and the sum unchanged`(flaw: Float) throws {
        for instructions in Self.instructions {
            var matrix = try Matrix(rows: 600, columns: 50, elements: elements(600, columns: 50, seed: 8))
            matrix[517, 0] = flaw
            matrix[411, 49] = flaw
            var product = try SymmetricProduct<Float>(.fusedMultiplyAdd, fused: instructions)
            var sum = try PackedSymmetricMatrix<Double>(dimension: 50)
            #expect(throws: LinearAlgebraError.nonFinite(row: 411)) {
                try product.add(rows: 0..<600, of: matrix, to: &sum)
            }
            matrix[517, 0] = -0x1p64
            matrix[411, 49] = 0
            #expect(throws: LinearAlgebraError.squareOverflow(row: 517, column: 0)) {
                try product.add(rows: 0..<600, of: matrix, to: &sum)
            }
            #expect(sum.elements.allSatisfy { $0 == 0 })
        }
    }

    @Test(arguments: [Float.nan, .infinity])
    func `an element that is not finite reaches its own row and column of the product, and no other`(
        flaw: Float
    ) throws {
        // Lanes beyond a row's end hold the next row's elements.
        for columns in [3, 47, 65] {
            for flawed in [0, columns - 1] {
                var elements = [Float](repeating: 1, count: 130 * columns)
                elements[129 * columns + flawed] = flaw
                for instructions in Self.instructions {
                    var sums = [Float](repeating: 0, count: columns * columns)
                    try multiply(elements, columns: columns, by: instructions, into: &sums)
                    for row in 0..<columns {
                        for column in 0...row {
                            let isFlawed = row == flawed || column == flawed
                            #expect(sums[row * columns + column].isFinite != isFlawed, "(\(row), \(column))")
                        }
                    }
                }
            }
        }
    }

    /// Calls the kernel itself, whose products a chunk with such elements never leaves.
    private func multiply(
        _ elements: [Float], columns: Int, by instructions: FusedInstructions, into sums: inout [Float]
    ) throws {
        let scratch = UnsafeMutableRawPointer.allocate(
            byteCount: ProductArithmetic.scratchByteCountMax(columnCount: columns), alignment: 64)
        defer { scratch.deallocate() }
        try elements.withUnsafeBufferPointer { elements in
            try sums.withUnsafeMutableBufferPointer { sums in
                let (rows, target) = (try #require(elements.baseAddress), try #require(sums.baseAddress))
                ScalarRoutines<Float>.single.fusedProduct(
                    instructions, rows, elements.count / columns, columns, target, scratch)
            }
        }
    }
}
