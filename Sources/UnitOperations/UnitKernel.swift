/// The arithmetic of most of an operation's multiply-adds, which decides how fast a machine does them.
public enum UnitKernel: Hashable, Sendable {
    /// Products of chunks of rows with themselves in fp32, each added to a triangle in fp64.
    ///
    /// `isBFloat16` says whether the rows are stored as bfloat16, for which some machines have faster instructions.
    case symmetricProduct(columns: Int, chunks: Int, isBFloat16: Bool)
    /// Cholesky factorizations in fp64.
    case factorization(dimension: Int)
    /// Products of matrices in fp64.
    case matrixProduct
    /// Sums over elements that stream through memory.
    case elementSum
}
