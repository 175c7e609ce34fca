public import LinearAlgebra

/// The scratch memory of one lane, reused from factor to factor.
///
/// With fresh scratch for each factor, a lane would spend as long on page faults as on the fp64 sums.
///
/// `Scalar` is the precision of products. In fp64 all rows are widened first.
public struct FactorWorkspace<Scalar: MatrixScalar>: ~Copyable, Sendable {
    var product: SymmetricProduct<Scalar>
    var groups: Matrix<Scalar>

    /// Makes an empty workspace, which grows to the largest factor that uses it.
    ///
    /// - Parameters:
    ///   - arithmetic: How rows are multiplied; fp64 rows always by the BLAS.
    ///   - precision: The precision of products.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when memory is short.
    public init(
        _ arithmetic: ProductArithmetic = .blas, precision: Scalar.Type = Float.self
    ) throws(KroneckerFactorsError) {
        let product = try carryingErrors { () throws(LinearAlgebraError) in try SymmetricProduct<Scalar>(arithmetic) }
        let groups = try carryingErrors { () throws(LinearAlgebraError) in try Matrix<Scalar>(rows: 0, columns: 0) }
        self.product = product
        self.groups = groups
    }

    /// Makes room for `rows` reduced rows of `columns` elements.
    mutating func reserveGroups(rows: Int, columns: Int) throws(LinearAlgebraError) {
        guard groups.rowCount < rows || groups.columnCount != columns else { return }
        groups = try Matrix(rows: rows, columns: columns)
    }
}
