import TestSupport
import Testing

@testable import LinearAlgebra

/// Gram matrices of rows that come in blocks of columns, against sums in fp64.
struct RowGramSumTests {
    private func expected(_ rows: Int, _ columns: Int, _ elements: [Float]) -> [Double] {
        (0..<rows).flatMap { row in
            (0...row).map { other in
                (0..<columns).reduce(0) {
                    $0 + Double(elements[row * columns + $1]) * Double(elements[other * columns + $1])
                }
            }
        }
    }

    @Test(arguments: [1, 3, 7, 40]) func `blocks of columns add up to the Gram matrix of the rows`(
        blockColumns: Int
    ) throws {
        var random = SplitMix64(seed: 1)
        let elements = random.values(5 * 40).map { Float($0) }
        let matrix = try Matrix<Float>(rows: 5, columns: 40, elements: elements)
        var sum = try RowGramSum(rows: 5)
        for first in stride(from: 0, to: 40, by: blockColumns) {
            try sum.add(columns: first..<min(first + blockColumns, 40), of: matrix)
        }
        try sum.add(columns: 3..<3, of: matrix)
        expectClose(sum.sum.elements, expected(5, 40, elements), absolute: 1e-5)
        sum.addToAll(0.25)
        expectClose(sum.sum.elements, expected(5, 40, elements).map { $0 + 0.25 }, absolute: 1e-5)
    }

    /// One fp32 sum would lose the small blocks behind a large one.
    @Test func `blocks are added in fp64`() throws {
        let matrix = try Matrix<Float>(rows: 1, columns: 1001, elements: [4096] + [Float](repeating: 0.5, count: 1000))
        var sum = try RowGramSum(rows: 1)
        for column in 0..<1001 { try sum.add(columns: column..<column + 1, of: matrix) }
        #expect(sum.sum.elements == [16_777_216 + 250])
    }

    @Test func `rows whose squares overflow fp32, and other shapes, are errors that leave the sum`() throws {
        let matrix = try Matrix<Float>(rows: 2, columns: 3, elements: [1, 1, 1, 1, 2e19, 1])
        var sum = try RowGramSum(rows: 2)
        try sum.add(columns: 0..<1, of: matrix)
        do throws(LinearAlgebraError) {
            try sum.add(columns: 1..<3, of: matrix)
            Issue.record("an overflow was accepted")
        } catch {
            #expect(error == .squareOverflow(row: 1, column: 1))
        }
        do throws(LinearAlgebraError) {
            try sum.add(columns: 2..<4, of: matrix)
            Issue.record("columns behind the end were accepted")
        } catch {
            #expect(error == .lengthMismatch(buffer: "the block's columns", expected: 4, found: 3))
        }
        #expect(sum.sum.elements == [1, 1, 1])
        #expect(RowGramSum.memoryBytes(rows: 100) == 80_400)
    }
}
