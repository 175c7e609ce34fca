public import KroneckerFactors
public import LinearAlgebra
public import UnitOperations

/// The numeric core of factor units: what a worker computes them with.
///
/// It stands in this module because an implementation may need a library of its own (a device's, say), and the modules
/// of the mathematics below import none. Everything else of a unit (reading and decoding rows, chunk borders, places in
/// messages) is the same for every backend.
public protocol FactorBackend: Sendable {
    /// Its word in the setting `backend`, in the greeting and in metrics: lower-case letters and digits.
    var name: String { get }

    /// The arithmetic of its factors: its library with version and kernels, and the element type of products.
    ///
    /// Two processes with equal regimes give equal bits of equal chunks.
    var regime: NumericRegime { get }

    /// Whether a worker on this machine that is told no backend should take it; by default it must be told.
    var suitsMachine: Bool { get }

    /// Makes the accumulator of one lane.
    ///
    /// - Throws: What the backend lacks: memory, a library, a device.
    func makeAccumulator() throws -> any FactorAccumulator & ~Copyable
}

/// One lane's sums of outer products, one factor after the other: ``begin(_:)``, ``add(rows:of:)`` for each chunk, then
/// one of ``finish(divisor:)`` and ``finishPartial()``.
///
/// Between two chunks ``pause()`` makes way for another factor.
/// It may keep scratch memory from factor to factor; a lane drops it before units of other kinds, and after a unit that
/// failed. Flaws of the rows are thrown as `KroneckerFactorsError`: they fail the job. Any other error counts as one of
/// this machine: the unit is computed elsewhere.
public protocol FactorAccumulator: ~Copyable, Sendable {
    /// Begins a factor with an empty sum; a sum that was not finished is dropped.
    ///
    /// - Throws: `KroneckerFactorsError` for an impossible shape, or what the backend lacks.
    mutating func begin(_ shape: FactorShape) throws

    /// Adds one chunk: `sum += Σ row·rowᵀ` over the reduced rows.
    ///
    /// Chunks come in the plan's order. The sum over chunks must be fp64, so that the number of chunks costs no digits.
    ///
    /// - Parameters:
    ///   - rows: The rows of `chunk` to add; with a reduction, whole samples.
    ///   - chunk: `[r, d]`, fp32.
    /// - Throws: `KroneckerFactorsError.nonFinite` or `.squareOverflow` with the row counted over all chunks of the
    ///   factor, or what the backend lacks.
    mutating func add(rows: Range<Int>, of chunk: borrowing Matrix<Float>) throws

    /// The factor: the sum divided by `divisor`, rounded once to fp32.
    ///
    /// - Throws: `KroneckerFactorsError.noRows`, `.squaresVanish` for non-zero rows whose squares vanish in fp32,
    ///   `.exceedsStorage`, or what the backend lacks.
    mutating func finish(divisor: Double) throws -> PackedSymmetricMatrix<Float>

    /// The sum itself, undivided, for a factor whose rows are split among several units; zeros without rows.
    ///
    /// - Throws: `KroneckerFactorsError.squaresVanish`, or what the backend lacks.
    mutating func finishPartial() throws -> PackedSymmetricMatrix<Double>

    /// Sets the begun factor aside, with its sum and its count of rows but without scratch memory.
    ///
    /// - Throws: What the backend lacks.
    mutating func pause() throws -> any PausedFactorSum

    /// Takes a factor up again, so that its bits are those of one that was never paused; a sum that was not finished is
    /// dropped.
    ///
    /// - Parameter paused: What ``pause()`` of an accumulator of the same backend gave; it can be taken up once.
    /// - Throws: What the backend lacks.
    mutating func resume(_ paused: any PausedFactorSum) throws
}

/// A factor's running sum that an accumulator has set aside.
public protocol PausedFactorSum: AnyObject {}

/// What a factor is summed from.
public struct FactorShape: Equatable, Sendable {
    /// d, elements of one captured row.
    public var columnCount: Int
    /// Whether a one is appended, last, to each reduced row: A of a layer with bias.
    public var appendsOne: Bool
    /// What becomes of the rows of one sample.
    public var reduction: PositionReduction

    /// Describes a factor.
    public init(columnCount: Int, appendsOne: Bool = false, reduction: PositionReduction = .none) {
        self.columnCount = columnCount
        self.appendsOne = appendsOne
        self.reduction = reduction
    }

    /// Rows and columns of the factor: d, or d + 1 with the one.
    public var dimension: Int { columnCount + (appendsOne ? 1 : 0) }
}

extension FactorBackend {
    /// False.
    public var suitsMachine: Bool { false }

    /// The regime of all results of a worker with this backend.
    ///
    /// Operations without a backend compute with the BLAS, so its kernels decide bits whatever the backend is. Backends
    /// have different names, so their workers have different regimes even where they state equal arithmetic.
    var workerRegime: NumericRegime {
        guard name != FactorBackendRegistry.standard.name else { return regime }
        return NumericRegime(
            kernels: "\(BLASEnvironment.kernelFamily), factors by \(name): \(regime.kernels)",
            elements: regime.elements)
    }
}
