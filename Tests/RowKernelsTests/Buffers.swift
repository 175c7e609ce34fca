import TestSupport
import Testing

/// Widths of whole vectors of eight, of less than one vector, and with a rest.
let widths = [1, 3, 8, 17, 24, 64]

/// The elements after those of a call, because buffers are longer than one batch needs.
private let margin = [Float](repeating: 1e30, count: 9)

extension SplitMix64 {
    /// `count` numbers in −bound ..< bound, and a margin after them.
    mutating func buffer(_ count: Int, bound: Double = 1) -> [Float] {
        values(count).map { Float(bound * $0) } + margin
    }
}

extension [Float] {
    /// The elements before the margin, widened.
    var wide: [Double] { dropLast(margin.count).map(Double.init) }

    /// Row `index` of a matrix, widened.
    func row(_ index: Int, columns: Int) -> [Double] {
        self[(index * columns)..<((index + 1) * columns)].map(Double.init)
    }
}

/// Expects that the elements are close to the truth, and that the margin after them is unchanged.
func expectBuffer(
    _ found: [Float], _ expected: [Double], relative: Double = 0, absolute: Double = 0,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    expectClose(found.wide, expected, relative: relative, absolute: absolute, sourceLocation: sourceLocation)
    #expect(Array(found.suffix(margin.count)) == margin, sourceLocation: sourceLocation)
}
