import LinearAlgebra
import Testing

/// What 16 bits lose of a change.
struct RoundingLossTests {
    private func loss(of exact: [Double], base: [Double], _ type: ElementType) throws -> RoundingLoss {
        var loss = RoundingLoss()
        try loss.add(exact.span, base: base.span, roundedTo: type)
        return loss
    }

    @Test func `a change below half a unit of bfloat16 is lost, and a large one is kept`() throws {
        // At 1, neighbours in bfloat16 are 2⁻⁷ apart.
        let base = [Double](repeating: 1, count: 4)
        let drowned = try loss(of: base.map { $0 + 0x1p-9 }, base: base, .bf16)
        #expect(drowned == RoundingLoss(errorSquares: 4 * 0x1p-18, changeSquares: 4 * 0x1p-18))
        #expect(drowned.share == 1)
        var kept = try loss(of: base.map { $0 + 0x1p-7 }, base: base, .bf16)
        #expect(kept.share == 0)
        kept.add(drowned)
        let share = try #require(kept.share)
        #expect(abs(share * share - 0x1p-18 / (0x1p-18 + 0x1p-14)) < 1e-15)
    }

    @Test func `without a change nothing is lost`() throws {
        #expect(RoundingLoss().share == nil)
        #expect(try loss(of: [1, 2.5], base: [1, 2.5], .f16).share == nil)
        #expect(throws: LinearAlgebraError.self) { try loss(of: [1, 2.5], base: [1], .f16) }
    }
}
