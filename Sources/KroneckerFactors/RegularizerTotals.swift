public import LinearAlgebra

/// The fp64 total of the tasks' factors over one range of the stored elements, and the targets' factors derived from
/// it.
///
/// For each range: add every task once, then write each target's remainder by subtraction. T targets then cost T
/// subtractions, not T² sums. Memory is that of the range. When the ``SubtractionCertificate`` rejects a factor, it is
/// summed afresh: make new totals, add the other tasks, and call ``write(scale:into:)``.
public struct RegularizerTotals: ~Copyable, Sendable {
    /// The factors' shape.
    public let shape: SymmetricShape
    /// The index of the range's first element among the stored ones.
    public let firstElement: Int
    private var total: Matrix<Double>
    private var squaredNorm: Double?

    /// Makes a zero total.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when memory is short.
    public init(of shape: SymmetricShape, firstElement: Int, count: Int) throws(KroneckerFactorsError) {
        let total = try carryingErrors { () throws(LinearAlgebraError) in
            try Matrix<Double>(rows: 1, columns: count)
        }
        self.total = total
        self.shape = shape
        self.firstElement = firstElement
    }

    /// `total += coefficient · factor`, in fp64.
    ///
    /// - Parameters:
    ///   - factor: `[count]`, the task's packed factor over the range.
    ///   - coefficient: From ``RegularizerWeights/coefficient(ofTask:role:)``.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` for another length; the total is then unchanged.
    public mutating func add(_ factor: Span<Float>, times coefficient: Double) throws(KroneckerFactorsError) {
        squaredNorm = nil
        do {
            try total.withMutableSpan { (sum: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                try VectorOperations.add(factor, times: coefficient, to: &sum)
            }
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Writes `scale · total`, rounded once to fp32: the factor of all added tasks.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` for another length; nothing is written then.
    ///   ``KroneckerFactorsError/exceedsStorage(row:)`` when an element does not fit in fp32, after writing it.
    public func write(scale: Double, into destination: inout MutableSpan<Float>) throws(KroneckerFactorsError) {
        do {
            try total.withSpan { (total: Span<Double>) throws(LinearAlgebraError) in
                try VectorOperations.multiply(total, by: scale, into: &destination)
            }
        } catch {
            throw .linearAlgebra(error)
        }
        try PartialSums.requireStorable(destination.span, firstElement: firstElement, of: shape)
    }

    /// Writes `scale · (total − coefficient · own)`, rounded once to fp32: the factor without one target.
    ///
    /// - Parameters:
    ///   - own: `[count]`, the target's packed factor over the range.
    ///   - coefficient: The coefficient with which it was added.
    ///   - scale: From ``RegularizerWeights/scale(of:excluding:)``.
    ///   - destination: `[count]`.
    ///   - certificate: The target's certificate; it covers all ranges.
    /// - Throws: As ``write(scale:into:)``.
    public mutating func writeRemainder(
        without own: Span<Float>,
        times coefficient: Double,
        scale: Double,
        into destination: inout MutableSpan<Float>,
        certificate: inout SubtractionCertificate
    ) throws(KroneckerFactorsError) {
        do {
            let totalSquares = try totalSquaredNorm()
            try total.withSpan { (total: Span<Double>) throws(LinearAlgebraError) in
                try VectorOperations.subtract(
                    own,
                    times: coefficient,
                    from: total,
                    scale: scale,
                    into: &destination
                )
            }
            try certificate.add(
                remainder: destination.span,
                firstElement: firstElement,
                of: shape,
                totalSquares: scale * scale * totalSquares
            )
        } catch {
            throw .linearAlgebra(error)
        }
        try PartialSums.requireStorable(destination.span, firstElement: firstElement, of: shape)
    }

    /// The norm is the same for every target, so it is kept until the next task is added.
    private mutating func totalSquaredNorm() throws(LinearAlgebraError) -> Double {
        if let squaredNorm { return squaredNorm }
        let squares = try total.withSpan { (total: Span<Double>) throws(LinearAlgebraError) in
            try VectorOperations.frobeniusInnerProduct(
                total, total, firstElement: firstElement, of: shape)
        }
        squaredNorm = squares
        return squares
    }
}
