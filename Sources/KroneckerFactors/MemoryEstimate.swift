public import LinearAlgebra

/// Peak memory of the computations on one factor, for a planner.
///
/// Sums that overflow are `Int.max`.
///
/// OpenBLAS's own packing buffers (about 32 MB for each of its threads, once per process) are additional.
public enum MemoryEstimate {
    /// Bytes of one ``FactorAccumulation`` or ``DiagonalAccumulation`` with its share of the workspace, the chunk, and
    /// the finished factor.
    ///
    /// - Parameters:
    ///   - shape: The factor's shape, of dimension n, including the one of a bias.
    ///   - chunkRows: Rows of the largest chunk.
    ///   - elementType: The capture's element type; a type other than F32 adds the bytes of a chunk.
    ///   - reducesPositions: Whether positions are reduced before the product; this needs a second, smaller chunk.
    ///   - inDouble: Whether rows are multiplied in fp64.
    /// - Returns: 4n² of scratch and the rows that a product packs unless the factor is diagonal, 8 + 4 bytes for each
    ///   stored element, 4·r·n for the chunk, and these additions; in fp64 8n² of scratch and 8·r·n for widened rows.
    public static func accumulation(
        of shape: SymmetricShape,
        chunkRows: Int,
        elementType: ElementType,
        reducesPositions: Bool = false,
        inDouble: Bool = false
    ) -> Int {
        let chunkElements = chunkRows.saturatingProduct(shape.dimension)
        let chunkBytes = elementType == .f32 ? 4 : 4 + elementType.byteCount
        if inDouble, !shape.isDiagonal {
            return square(shape).saturatingProduct(8).saturatingSum(stored(shape).saturatingProduct(8))
                .saturatingSum(chunkElements.saturatingProduct(chunkBytes + 8))
        }
        return square(shape).saturatingProduct(4)
            .saturatingSum(shape.isDiagonal ? 0 : ProductArithmetic.scratchByteCountMax(columnCount: shape.dimension))
            .saturatingSum(stored(shape).saturatingProduct(12))
            .saturatingSum(chunkElements.saturatingProduct(chunkBytes))
            .saturatingSum(reducesPositions ? chunkElements.saturatingProduct(2) : 0)
    }

    /// Bytes of one ``DampedInverse``: the factor, the fp64 square or diagonal, the inverse.
    ///
    /// - Parameters:
    ///   - shape: The factor's shape, of dimension n.
    ///   - clampingEigenvalues: Whether to include the ladder's last resort, which needs 2n² fp64 more.
    /// - Returns: 8n² bytes plus 8 for each stored element, or 24n² plus 8 for each; of a diagonal 24n.
    public static func inverse(of shape: SymmetricShape, clampingEigenvalues: Bool = false) -> Int {
        guard !shape.isDiagonal else { return shape.dimension.saturatingProduct(24) }
        return square(shape).saturatingProduct(clampingEigenvalues ? 24 : 8)
            .saturatingSum(stored(shape).saturatingProduct(8))
    }

    private static func square(_ shape: SymmetricShape) -> Int {
        shape.isDiagonal ? 0 : shape.dimension.saturatingProduct(shape.dimension)
    }

    private static func stored(_ shape: SymmetricShape) -> Int {
        shape.isDiagonal
            ? shape.dimension : shape.dimension.saturatingProduct(shape.dimension.saturatingSum(1)) / 2
    }
}
