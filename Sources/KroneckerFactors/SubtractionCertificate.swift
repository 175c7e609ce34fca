import LinearAlgebra

/// Proof that a remainder by subtraction is as good as a sum afresh: it stays positive semi-definite to within the
/// rounding of its own storage.
///
/// The total of T positive semi-definite terms carries an error of at most T·2⁻⁵³·‖total‖_F, since no partial sum is
/// larger than the total; the subtraction adds no more than one of these roundings. Storing the remainder in fp32 costs
/// up to 2⁻²⁴·‖remainder‖_F anyway. The certificate demands that the first is at most a sixteenth of the second, and
/// that no diagonal element is negative. It fails where one task dwarfs the others by 2²⁵ and more.
public struct SubtractionCertificate: Equatable, Sendable {
    /// T, the number of added tasks.
    public let taskCount: Int
    private var totalSquares = 0.0
    private var remainderSquares = 0.0
    private var hasNegativeDiagonal = false

    /// An empty certificate for totals of `taskCount` tasks.
    public init(taskCount: Int) { self.taskCount = taskCount }

    /// Whether the factor may be used; false means: sum it afresh.
    public var isValid: Bool {
        let subtractionError = Double(taskCount + 1) * 0x1p-53 * totalSquares.squareRoot()
        let storageError = 0x1p-24 * remainderSquares.squareRoot()
        return !hasNegativeDiagonal && subtractionError <= storageError / 16
    }

    mutating func add(
        remainder: Span<Float>,
        firstElement: Int,
        totalSquares: Double
    ) throws(LinearAlgebraError) {
        self.totalSquares += totalSquares
        remainderSquares += try VectorOperations.frobeniusInnerProduct(remainder, remainder, firstElement: firstElement)
        var isNegative = hasNegativeDiagonal
        PackedTriangle.forEachDiagonal(in: firstElement..<firstElement + remainder.count) { index in
            // Not `< 0`: a NaN is no certificate either.
            if !(remainder[index] >= 0) { isNegative = true }
        }
        hasNegativeDiagonal = isNegative
    }
}
