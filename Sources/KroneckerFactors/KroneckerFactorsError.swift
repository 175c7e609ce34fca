public import LinearAlgebra

/// What can go wrong while factors are accumulated, summed, damped and applied.
///
/// Rows count from 0 over all rows given to one accumulation. The caller, who knows them, puts layer and file in front.
public enum KroneckerFactorsError: Error, Equatable, Sendable {
    /// The first row that holds NaN or infinity.
    case nonFinite(row: Int)
    /// Finite rows whose sum of squares over one chunk overflows fp32.
    case squareOverflow(row: Int, column: Int)
    /// An accumulation that was finished before any row came.
    case noRows
    /// Rows that do not fill whole samples.
    case rowsNotDivisible(rows: Int, positions: Int)
    /// A count of samples, positions or probes that is not positive.
    case invalidCount(name: String, value: Int)
    /// A task weight that is not positive and finite.
    case invalidWeight(task: Int, value: Double)
    /// A sum over tasks that has none.
    case noTasks
    /// A damping value that is negative or not finite.
    case invalidDamping(value: Double)
    /// A stored factor with NaN or infinity in this row.
    case factorNotFinite(row: Int)
    /// A result with an element in this row that does not fit fp32, in which factors are stored.
    case exceedsStorage(row: Int)
    /// Rows of values whose squares all vanish in fp32, or all but vanish; the largest magnitude of them.
    case squaresVanish(rows: Int, largest: Double)
    /// Inner products of two tasks' factors that are not finite.
    case productNotFinite(first: Int, second: Int)
    /// A failure of storage, shape or BLAS.
    case linearAlgebra(LinearAlgebraError)
}

extension KroneckerFactorsError: CustomStringConvertible {
    /// One sentence: what is wrong, what was expected, what to do.
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
            "an element of row \(row) does not fit fp32; expected a magnitude below 3.4e38. Raise the damping "
                + "of an inverse; scale the capture of a factor down."
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

/// Runs operations of the level below and carries their errors up unchanged.
func carryingErrors<Result: ~Copyable>(
    _ body: () throws(LinearAlgebraError) -> Result
) throws(KroneckerFactorsError) -> Result {
    do {
        return try body()
    } catch {
        throw .linearAlgebra(error)
    }
}
