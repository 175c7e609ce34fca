import LinearAlgebra
import TestSupport
import Testing

/// Rows of a square, block by block, from a packed triangle.
struct SquareRowsTests {
    /// Row i, column j of the full matrix is 100·max + min, so that every element encodes its position.
    private func element(_ row: Int, _ column: Int) -> Float { Float(100 * max(row, column) + min(row, column)) }

    private func floats(_ bytes: RawSpan) -> [Float] {
        (0..<bytes.byteCount / 4).map { bytes.unsafeLoadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }

    @Test(arguments: [1, 3, 16, 17, 40, 75], [1, 3, 20, 33, 100])
    func `the blocks are the square, from a whole matrix and from parts of its rows`(order: Int, rowsMax: Int) throws {
        let lower = (0..<order).flatMap { row in (0...row).map { element(row, $0) } }
        let matrix = try PackedSymmetricMatrix<Float>(dimension: order, elements: lower)
        let truth = (0..<order).flatMap { row in (0..<order).map { element(row, $0) } }
        var block = try SquareRows(dimension: order, byteCountMax: 4 * order * rowsMax)
        var (whole, parts): ([Float], [Float]) = ([], [])
        for rows in block.parts {
            try block.fill(rows, of: matrix)
            block.withBytes(of: rows) { bytes, offset in
                #expect(offset == 4 * whole.count)
                whole += floats(bytes)
            }
            let packed = Array(
                lower[PackedTriangle.offset(ofRow: rows.lowerBound)..<PackedTriangle.offset(ofRow: rows.upperBound)])
            try block.fill(rows, packed: packed.span)
            for line in stride(from: rows.upperBound, to: order, by: 18) {
                let lines = line..<min(order, line + 18)
                let elements = lines.flatMap { row in rows.map { element(row, $0) } }
                try block.mirror(lines, columns: rows, elements.span)
            }
            block.withBytes(of: rows) { bytes, _ in parts += floats(bytes) }
        }
        #expect(whole == truth)
        #expect(parts == truth)
    }

    @Test func `rows outside the square, and others than it has, are refused`() throws {
        let matrix = try PackedSymmetricMatrix<Float>(dimension: 3)
        var block = try SquareRows(dimension: 4, byteCountMax: 32)
        let parts = block.parts
        #expect(parts == [0..<2, 2..<4])
        let zeros = [Float](repeating: 0, count: 9)
        do {
            try block.fill(0..<2, of: matrix)
            Issue.record("a matrix of another dimension was taken")
        } catch {}
        do {
            try block.fill(3..<5, packed: zeros.span)
            Issue.record("rows outside the square were taken")
        } catch {}
        do {
            try block.mirror(1..<3, columns: 0..<2, zeros.span.extracting(first: 4))
            Issue.record("a row of the block was mirrored")
        } catch {}
    }
}
