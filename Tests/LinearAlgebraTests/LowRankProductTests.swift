import LinearAlgebra
import Testing

/// Products of low rank, of which any elements are added to others.
struct LowRankProductTests {
    /// B = [[1, 2], [3, 4], [5, 6]] and A = [[1, 0], [0, 1]], so that B A = B.
    private func product(isTransposed: Bool) throws -> LowRankProduct {
        try LowRankProduct(
            up: [1, 2, 3, 4, 5, 6], down: [1, 0, 0, 1], rows: isTransposed ? 2 : 3, columns: isTransposed ? 3 : 2,
            rank: 2, scale: 0.5, isTransposed: isTransposed)
    }

    private func values(_ product: LowRankProduct, _ elements: Range<Int>) throws -> [Double] {
        var values = [Double](repeating: 10, count: elements.count)
        var span = values.mutableSpan
        try product.add(elements, to: &span)
        return values
    }

    @Test func `a product is added row by row, and transposed where it is stored so`() throws {
        #expect(try values(product(isTransposed: false), 0..<6) == [10.5, 11, 11.5, 12, 12.5, 13])
        #expect(try values(product(isTransposed: true), 0..<6) == [10.5, 11.5, 12.5, 11, 12, 13])
    }

    @Test func `any range has the elements of the whole`() throws {
        let product = try product(isTransposed: true)
        let whole = try values(product, 0..<6)
        for first in 0...6 {
            for last in first...6 { #expect(try values(product, first..<last) == Array(whole[first..<last])) }
        }
    }

    @Test func `factors and values of other sizes are refused`() throws {
        #expect(throws: LinearAlgebraError.lengthMismatch(buffer: "the up-projection", expected: 6, found: 5)) {
            try LowRankProduct(
                up: [1, 2, 3, 4, 5], down: [1, 0, 0, 1], rows: 3, columns: 2, rank: 2, scale: 1, isTransposed: false)
        }
        #expect(throws: LinearAlgebraError.lengthMismatch(buffer: "the down-projection", expected: 4, found: 3)) {
            try LowRankProduct(
                up: [1, 2, 3, 4, 5, 6], down: [1, 0, 0], rows: 3, columns: 2, rank: 2, scale: 1, isTransposed: false)
        }
        #expect(throws: LinearAlgebraError.lengthMismatch(buffer: "the values of an update", expected: 6, found: 3)) {
            try values(product(isTransposed: false), 4..<7)
        }
    }
}
