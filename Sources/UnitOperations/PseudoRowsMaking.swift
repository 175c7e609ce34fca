/// An operation whose first blob is pseudo-rows, `[rank, positions, width]`.
public protocol PseudoRowsMaking: UnitOperation {
    /// Number of rows.
    var rank: Int { get }
    /// Positions of a row.
    var rowPositions: Int { get }
    /// Columns of a position.
    var rowWidth: Int { get }
}
