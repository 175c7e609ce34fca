/// The shape of a symmetric matrix, and the order of its stored elements.
public enum SymmetricShape: Hashable, Sendable, Codable {
    /// All elements may differ from zero: the lower triangle is stored row by row (``PackedTriangle``).
    case full(Int)
    /// Every element off the diagonal is zero: the diagonal is stored.
    case diagonal(Int)

    /// A matrix with so many rows and columns.
    public init(dimension: Int, isDiagonal: Bool) {
        self = isDiagonal ? .diagonal(dimension) : .full(dimension)
    }

    /// Number of rows and of columns.
    public var dimension: Int {
        switch self {
        case .full(let dimension), .diagonal(let dimension): dimension
        }
    }

    /// Whether only the diagonal is stored.
    public var isDiagonal: Bool {
        if case .diagonal = self { true } else { false }
    }

    /// Number of stored elements.
    /// - Throws: ``LinearAlgebraError/invalidShape(rows:columns:)`` for a negative dimension, or one whose square
    ///   overflows.
    public func elementCount() throws(LinearAlgebraError) -> Int {
        switch self {
        case .full(let dimension): return try PackedTriangle.elementCount(dimension: dimension)
        case .diagonal(let dimension):
            guard dimension >= 0, dimension < 1 << 32 else { throw .invalidShape(rows: dimension, columns: dimension) }
            return dimension
        }
    }

    /// The row of the stored element at `index`.
    public func row(containing index: Int) -> Int { isDiagonal ? index : PackedTriangle.row(containing: index) }

    /// Index of the stored element (row, row).
    public func diagonalOffset(_ row: Int) -> Int { isDiagonal ? row : PackedTriangle.diagonalOffset(row) }

    /// Calls `body` with the position inside `range` of each stored diagonal element in the range, in order.
    public func forEachDiagonal(in range: Range<Int>, _ body: (Int) -> Void) {
        guard isDiagonal else { return PackedTriangle.forEachDiagonal(in: range, body) }
        for index in 0..<range.count { body(index) }
    }
}
