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

    @Test func `the leading factors of a sum are those of the whole matrix, and say what they miss`() throws {
        // 3 e_1 e_1ᵀ + 2 e_2 e_2ᵀ, and half of the latter once more: the values are 3 and 3.
        func unit(_ place: Int, _ scale: Double) throws -> LowRankProduct {
            let vector = (0..<3).map { $0 == place ? 1.0 : 0 }
            return try LowRankProduct(
                up: vector, down: vector, rows: 3, columns: 3, rank: 1, scale: scale, isTransposed: false)
        }
        var factors = try ConcatenatedFactors(inputs: 3, outputs: 3, rank: 3)
        for (place, scale) in [(0, 4), (1, 2), (1, 1)] as [(Int, Double)] {
            factors.add(try unit(place, scale), times: 1, isTransposed: false)
        }
        let leading = try factors.leading(1)
        #expect(leading.rank == 1)
        #expect(abs(leading.missedSquares - 9) < 1e-13)
        let squares = try leading.squares(up: leading.up(in: .f64), down: leading.down(in: .f64), in: .f64)
        #expect(abs(squares[0] - 9) < 1e-13 && abs(squares[1] - 25) < 1e-13)
    }

    @Test func `vectors that cancel have no leading factors`() throws {
        var factors = try ConcatenatedFactors(inputs: 2, outputs: 3, rank: 2)
        let product = try LowRankProduct(
            up: [1, 2, 3], down: [1, 1], rows: 3, columns: 2, rank: 1, scale: 1, isTransposed: false)
        factors.add(product, times: 1, isTransposed: false)
        factors.add(product, times: -1, isTransposed: false)
        #expect(try factors.leading(2).rank == 0)
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
