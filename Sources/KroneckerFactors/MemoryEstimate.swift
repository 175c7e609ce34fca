public import LinearAlgebra

/// Peak memory of the computations on one factor, for a planner.
///
/// Sums that overflow are `Int.max`.
///
/// OpenBLAS's own packing buffers (about 32 MB for each of its threads, once per process) are additional.
public enum MemoryEstimate {
    /// Bytes of one ``FactorAccumulation`` with its share of the workspace, the chunk, and the finished factor.
    ///
    /// - Parameters:
    ///   - dimension: n, including the one of a bias.
    ///   - chunkRows: Rows of the largest chunk.
    ///   - elementType: The capture's element type; a type other than F32 adds the bytes of a chunk.
    ///   - reducesPositions: Whether positions are reduced before the product; this needs a second, smaller chunk.
    /// - Returns: 4n² of scratch, 8 + 4 bytes for each packed element, 4·r·n for the chunk, and these additions.
    public static func accumulation(
        dimension: Int,
        chunkRows: Int,
        elementType: ElementType,
        reducesPositions: Bool = false
    ) -> Int {
        let chunkElements = chunkRows.saturatingProduct(dimension)
        let chunkBytes = elementType == .f32 ? 4 : 4 + elementType.byteCount
        return square(dimension).saturatingProduct(4)
            .saturatingSum(packed(dimension).saturatingProduct(12))
            .saturatingSum(chunkElements.saturatingProduct(chunkBytes))
            .saturatingSum(reducesPositions ? chunkElements.saturatingProduct(2) : 0)
    }

    /// Bytes of one ``DampedInverse``: the factor, the fp64 square, the inverse.
    ///
    /// - Parameters:
    ///   - dimension: n.
    ///   - clampingEigenvalues: Whether to include the ladder's last resort, which needs 2n² fp64 more.
    /// - Returns: 8n² bytes plus 8 for each packed element, or 24n² plus 8 for each.
    public static func inverse(dimension: Int, clampingEigenvalues: Bool = false) -> Int {
        square(dimension).saturatingProduct(clampingEigenvalues ? 24 : 8)
            .saturatingSum(packed(dimension).saturatingProduct(8))
    }

    private static func square(_ dimension: Int) -> Int { dimension.saturatingProduct(dimension) }

    private static func packed(_ dimension: Int) -> Int {
        dimension.saturatingProduct(dimension.saturatingSum(1)) / 2
    }
}
