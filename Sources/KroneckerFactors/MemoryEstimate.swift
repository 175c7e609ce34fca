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
        let chunkElements = saturatingProduct(chunkRows, dimension)
        let chunkBytes = elementType == .f32 ? 4 : 4 + elementType.byteCount
        return saturatingSum([
            saturatingProduct(4, square(dimension)),
            saturatingProduct(12, packed(dimension)),
            saturatingProduct(chunkBytes, chunkElements),
            reducesPositions ? saturatingProduct(2, chunkElements) : 0,
        ])
    }

    /// Bytes of one ``DampedInverse``: the factor, the fp64 square, the inverse.
    ///
    /// - Parameters:
    ///   - dimension: n.
    ///   - clampingEigenvalues: Whether to include the ladder's last resort, which needs 2n² fp64 more.
    /// - Returns: 8n² bytes plus 8 for each packed element, or 24n² plus 8 for each.
    public static func inverse(dimension: Int, clampingEigenvalues: Bool = false) -> Int {
        saturatingSum([
            saturatingProduct(clampingEigenvalues ? 24 : 8, square(dimension)),
            saturatingProduct(8, packed(dimension)),
        ])
    }

    private static func square(_ dimension: Int) -> Int { saturatingProduct(dimension, dimension) }

    private static func packed(_ dimension: Int) -> Int {
        saturatingProduct(dimension, saturatingSum([dimension, 1])) / 2
    }

    private static func saturatingProduct(_ left: Int, _ right: Int) -> Int {
        let (product, overflow) = left.multipliedReportingOverflow(by: right)
        return overflow ? .max : product
    }

    private static func saturatingSum(_ terms: [Int]) -> Int {
        terms.reduce(0) { sum, term in
            let (next, overflow) = sum.addingReportingOverflow(term)
            return overflow ? .max : next
        }
    }
}
