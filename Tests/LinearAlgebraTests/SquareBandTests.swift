import LinearAlgebra
import Testing

struct SquareBandTests {
    /// Element (i, j) of a symmetric matrix names its indices.
    private func element(_ row: Int, _ column: Int) -> Float { Float(1000 * max(row, column) + min(row, column)) }

    @Test(arguments: [1, 2, 5, 33, 70], [1, 2, 7, 100]) func `bands of a packed triangle make the whole square`(
        dimension: Int, rowsMax: Int
    ) throws {
        let packed = (0..<dimension).flatMap { row in (0...row).map { element(row, $0) } }
        var square: [Float] = []
        var band = try SquareBand(dimension: dimension, byteCountMax: 4 * dimension * rowsMax)
        #expect(band.rowsMax == min(rowsMax, dimension))
        for first in stride(from: 0, to: dimension, by: band.rowsMax) {
            let rows = first..<min(dimension, first + band.rowsMax)
            band.fill(rows) { firstElement, destination in
                for position in 0..<destination.byteCount / 4 {
                    destination.storeBytes(
                        of: packed[firstElement + position], toByteOffset: 4 * position, as: Float.self)
                }
            }
            band.withBytes(of: rows) { bytes in
                for offset in stride(from: 0, to: bytes.byteCount, by: 4) {
                    square.append(bytes.unsafeLoad(fromByteOffset: offset, as: Float.self))
                }
            }
        }
        #expect(square == (0..<dimension).flatMap { row in (0..<dimension).map { element(row, $0) } })
    }

    @Test func `a band that cannot be read throws the reader's error`() throws {
        struct Gone: Error {}
        var band = try SquareBand(dimension: 3, byteCountMax: 1)
        #expect(band.rowsMax == 1)
        #expect(throws: Gone.self) {
            try band.fill(1..<2) { (_: Int, _: inout MutableRawSpan) throws(Gone) in throw Gone() }
        }
    }
}
