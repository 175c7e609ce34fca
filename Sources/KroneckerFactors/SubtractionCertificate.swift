import LinearAlgebra

/// Proof that a remainder by subtraction is as good as a fresh sum: it is positive semi-definite within the rounding of
/// its storage.
///
/// The total of T positive semi-definite terms has an error of at most T·2⁻⁵³·‖total‖_F, since no partial sum is larger
/// than the total. The subtraction adds at most one such rounding. Storing the remainder in fp32 costs up to
/// 2⁻²⁴·‖remainder‖_F anyway. The certificate demands that the first error is at most a sixteenth of the second, and
/// that no diagonal element is negative. It fails when one task exceeds the others by a factor of 2²⁵ or more.
public struct SubtractionCertificate: Equatable, Sendable {
    /// T, the number of added tasks.
    public let taskCount: Int
    private var totalSquares = 0.0
    private var remainderSquares = 0.0
    private var hasNegativeDiagonal = false

    /// Makes an empty certificate for totals of `taskCount` tasks.
    public init(taskCount: Int) { self.taskCount = taskCount }

    /// Whether the factor may be used; if false, sum it afresh.
    public var isValid: Bool {
        let subtractionError = Double(taskCount + 1) * 0x1p-53 * totalSquares.squareRoot()
        let storageError = 0x1p-24 * remainderSquares.squareRoot()
        return !hasNegativeDiagonal && subtractionError <= storageError / 16
    }

    mutating func add(
        remainder: Span<Float>,
        firstElement: Int,
        of shape: SymmetricShape,
        totalSquares: Double
    ) throws(LinearAlgebraError) {
        self.totalSquares += totalSquares
        remainderSquares += try VectorOperations.frobeniusInnerProduct(
            remainder, remainder, firstElement: firstElement, of: shape)
        var isNegative = hasNegativeDiagonal
        shape.forEachDiagonal(in: firstElement..<firstElement + remainder.count) { index in
            // Written so that a NaN is not certified either.
            if !(remainder[index] >= 0) { isNegative = true }
        }
        hasNegativeDiagonal = isNegative
    }
}
