public import LinearAlgebra

/// The scratch memory of one lane, reused from factor to factor.
///
/// With fresh scratch for each factor, a lane would spend as long on page faults as on the fp64 sums.
public struct FactorWorkspace: ~Copyable, Sendable {
    var product: SymmetricProduct<Float>
    var groups: Matrix<Float>

    /// Makes an empty workspace, which grows to the largest factor that uses it.
    ///
    /// - Parameter arithmetic: How rows are multiplied.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when memory is short.
    public init(_ arithmetic: ProductArithmetic = .blas) throws(KroneckerFactorsError) {
        let product = try carryingErrors { () throws(LinearAlgebraError) in try SymmetricProduct<Float>(arithmetic) }
        let groups = try carryingErrors { () throws(LinearAlgebraError) in try Matrix<Float>(rows: 0, columns: 0) }
        self.product = product
        self.groups = groups
    }

    /// Makes room for `rows` reduced rows of `columns` elements.
    mutating func reserveGroups(rows: Int, columns: Int) throws(LinearAlgebraError) {
        guard groups.rowCount < rows || groups.columnCount != columns else { return }
        groups = try Matrix(rows: rows, columns: columns)
    }
}
