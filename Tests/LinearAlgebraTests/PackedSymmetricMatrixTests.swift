import LinearAlgebra
import TestSupport
import Testing

struct PackedSymmetricMatrixTests {
    /// Row i, column j of the full matrix is 10·max + min, so that every element encodes its position.
    private func named(_ order: Int) -> [[Float]] {
        (0..<order).map { row in (0..<order).map { Float(10 * max(row, $0) + min(row, $0)) } }
    }

    @Test func `packing keeps the lower triangle row by row`() throws {
        let square = try Matrix<Float>(rows: 3, columns: 3, elements: [0, -1, -1, 10, 11, -1, 20, 21, 22])
        let packed = try PackedSymmetricMatrix(packing: square)
        #expect(packed.elements == [0, 10, 11, 20, 21, 22])
        let upper = packed[1, 2]
        #expect(upper == 21)
        #expect(packed.diagonal == [0, 11, 22])
        #expect(packed.trace == 33)
    }

    @Test(arguments: [0, 1, 5, 16, 17, 40, 67]) func `unpacking mirrors both triangles`(order: Int) throws {
        let truth = named(order)
        let elements = (0..<order).flatMap { row in truth[row][...row] }
        let packed = try PackedSymmetricMatrix<Float>(dimension: order, elements: elements)
        #expect(try packed.unpacked().elements == truth.flatMap { $0 })
    }

    @Test func `the blob is the little-endian bytes of the packed triangle`() throws {
        let packed = try PackedSymmetricMatrix<Float>(dimension: 2, elements: [1, 2, -0.5])
        let bytes = packed.withBytes { (bytes: RawSpan) in
            (0..<bytes.byteCount).map { bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
        }
        #expect(bytes == [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40, 0, 0, 0, 0xBF])
    }

    @Test func `the Frobenius inner product counts elements off the diagonal twice`() throws {
        let left = try PackedSymmetricMatrix<Float>(dimension: 2, elements: [1, 2, 3])
        let right = try PackedSymmetricMatrix<Float>(dimension: 2, elements: [5, 7, 11])
        #expect(try left.frobeniusInnerProduct(with: right) == 5 + 2 * 14 + 33)
        let wide = try PackedSymmetricMatrix<Double>(widening: left)
        #expect(try wide.frobeniusInnerProduct(with: wide) == 1 + 2 * 4 + 9)
    }

    @Test func `ranges of an inner product add up to the whole`() throws {
        var random = SplitMix64(seed: 5)
        let values = random.values(PackedTriangle.offset(ofRow: 9)).map { Float($0) }
        let packed = try PackedSymmetricMatrix<Float>(dimension: 9, elements: values)
        let whole = try packed.frobeniusInnerProduct(with: packed)
        for border in 0...values.count {
            let (head, tail) = (Array(values[..<border]), Array(values[border...]))
            let low = try VectorOperations.frobeniusInnerProduct(head.span, head.span, firstElement: 0, of: .full(9))
            let high = try VectorOperations.frobeniusInnerProduct(
                tail.span, tail.span, firstElement: border, of: .full(9))
            expectClose(low + high, whole, relative: 1e-14)
        }
    }

    @Test func `each index lies in the row that contains it`() {
        var index = 0
        for row in 0..<200 {
            for _ in 0...row {
                #expect(PackedTriangle.row(containing: index) == row)
                index += 1
            }
        }
        let last = (1 << 30) - 1
        #expect(PackedTriangle.row(containing: PackedTriangle.offset(ofRow: last)) == last)
        #expect(PackedTriangle.row(containing: PackedTriangle.offset(ofRow: last) - 1) == last - 1)
    }
}
