/// What rounding to an element type loses of a change to a base, as sums of squares.
///
/// A checkpoint in 16 bits cannot hold a change that is small beside the weights: the merged value rounds back to the
/// base's.
public struct RoundingLoss: Equatable, Sendable {
    /// Σ (rounded − exact)².
    public private(set) var errorSquares: Double
    /// Σ (exact − base)².
    public private(set) var changeSquares: Double

    /// Takes sums; nothing is lost of no change.
    public init(errorSquares: Double = 0, changeSquares: Double = 0) {
        self.errorSquares = errorSquares
        self.changeSquares = changeSquares
    }

    /// The lost share of the change's norm; `nil` without a change.
    public var share: Double? { changeSquares > 0 ? (errorSquares / changeSquares).squareRoot() : nil }

    /// Adds an element.
    public mutating func add(exact: Double, rounded: Double, base: Double) {
        errorSquares += (rounded - exact) * (rounded - exact)
        changeSquares += (exact - base) * (exact - base)
    }

    /// Adds the sums of other elements.
    public mutating func add(_ other: RoundingLoss) {
        errorSquares += other.errorSquares
        changeSquares += other.changeSquares
    }

    /// Adds elements that are rounded to a type.
    ///
    /// - Parameters:
    ///   - exact: The values before rounding.
    ///   - base: The base's values, as many.
    ///   - type: The type.
    /// - Throws: ``LinearAlgebraError`` for lists of different lengths.
    public mutating func add(
        _ exact: Span<Double>, base: Span<Double>, roundedTo type: ElementType
    ) throws(LinearAlgebraError) {
        try requireLength("the base", expected: exact.count, found: base.count)
        var bytes = [UInt8](repeating: 0, count: exact.count * type.byteCount)
        var rounded = [Double](repeating: 0, count: exact.count)
        do {
            var span = bytes.mutableSpan
            var target = unsafe span.mutableBytes
            try type.encode(exact, into: &target)
        }
        var values = rounded.mutableSpan
        try unsafe type.decode(bytes.span.bytes, into: &values)
        for index in exact.indices { add(exact: exact[index], rounded: rounded[index], base: base[index]) }
    }
}

extension ElementType {
    /// Whether the type has so few digits that a fine-tuning can be lost in it.
    public var isHalf: Bool { byteCount == 2 }
}
