public import LinearAlgebra

/// Errors of accumulating, summing, damping and applying factors.
///
/// Rows count from 0 over all rows of one accumulation. The caller knows the layer and the file, and puts them in
/// front.
public enum KroneckerFactorsError: Error, Equatable, Sendable {
    /// A row holds NaN or infinity; it is the first such row.
    case nonFinite(row: Int)
    /// Finite rows have a sum of squares over one chunk that overflows fp32.
    case squareOverflow(row: Int, column: Int)
    /// The accumulation was finished before any row was added.
    case noRows
    /// The rows do not fill whole samples.
    case rowsNotDivisible(rows: Int, positions: Int)
    /// A count of samples, positions or probes is not positive.
    case invalidCount(name: String, value: Int)
    /// A task weight is not positive and finite.
    case invalidWeight(task: Int, value: Double)
    /// A sum over tasks has no task.
    case noTasks
    /// A damping value is negative or not finite.
    case invalidDamping(value: Double)
    /// A stored factor holds NaN or infinity in this row.
    case factorNotFinite(row: Int)
    /// An element of the result in this row does not fit in fp32, the storage type of factors.
    case exceedsStorage(row: Int)
    /// The squares of all rows vanish, or almost vanish, in fp32; `largest` is the largest magnitude.
    case squaresVanish(rows: Int, largest: Double)
    /// The inner product of two tasks' factors is not finite.
    case productNotFinite(first: Int, second: Int)
    /// Storage, shape or BLAS failed.
    case linearAlgebra(LinearAlgebraError)
}

extension KroneckerFactorsError: CustomStringConvertible {
    /// One sentence: what is wrong, what was expected, and what to do.
    public var description: String {
        switch self {
        case .nonFinite(let row):
            "row \(row) holds NaN or infinity; expected finite values. Capture it again."
        case .squareOverflow(let row, let column):
            "the squares of column \(column) overflow fp32 (largest magnitude in row \(row)); expected magnitudes "
                + "whose sum of squares over one chunk stays below 3.4e38. Scale the capture down."
        case .noRows:
            "no rows; expected at least one sample."
        case .rowsNotDivisible(let rows, let positions):
            "\(rows) rows do not divide into samples of \(positions) positions; expected a multiple of \(positions)."
        case .invalidCount(let name, let value):
            "\(value) \(name); expected at least 1."
        case .invalidWeight(let task, let value):
            "task \(task) has the weight \(value); expected a positive, finite number."
        case .noTasks:
            "a sum over no task; expected at least one task besides the target."
        case .invalidDamping(let value):
            "a damping of \(value); expected a finite number of at least 0."
        case .factorNotFinite(let row):
            "row \(row) of the factor holds NaN or infinity; expected finite values. Compute the factor again."
        case .exceedsStorage(let row):
            "an element of row \(row) does not fit fp32, in which factors are stored; expected a magnitude below 3.4e38. "
                + "Scale the captures or factors of all tasks down; for an inverse, raise the damping."
        case .squaresVanish(let rows, let largest):
            "the squares of all \(rows) rows vanish in fp32: the largest magnitude is \(largest); expected one above "
                + "1e-19. Scale the captures up, those of all tasks by one factor: \(1 / largest) makes the largest 1."
        case .productNotFinite(let first, let second):
            "the inner product of the factors of the tasks \(first) and \(second) is not finite; expected finite factors. "
                + "Compute them again."
        case .linearAlgebra(let error):
            error.description
        }
    }
}

/// Runs operations of lower modules and wraps their errors.
func carryingErrors<Result: ~Copyable>(
    _ body: () throws(LinearAlgebraError) -> Result
) throws(KroneckerFactorsError) -> Result {
    do {
        return try body()
    } catch {
        throw .linearAlgebra(error)
    }
}
