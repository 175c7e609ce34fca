public import LinearAlgebra

/// The running sum of an embedding's factor A, whose rows are indices.
///
/// An embedding is a linear layer whose input rows are one-hot: row r has a one at its index. So `Σ row·rowᵀ` is the
/// diagonal of the counts. Under `reduce` a sample's row is the mean of one-hot rows, and its outer product is no
/// diagonal; the diagonal of it stands for it, Σ_n (count_n / R_n)², as for every diagonal factor.
public struct IndexAccumulation: ~Copyable, Sendable {
    /// The number of indices, V.
    public let indexCount: Int
    /// Whether a one is appended, last, to each row.
    public let appendsOne: Bool
    /// Whether the rows of each sample are averaged.
    public let averagesSamples: Bool
    /// Indices added so far.
    public private(set) var rowCount = 0
    private var sum: PackedSymmetricMatrix<Double>
    /// The counts of the sample that is not ended.
    private var counts: [Int: Int] = [:]
    private var openRowCount = 0
    private var endedSampleCount = 0

    /// An empty sum.
    ///
    /// - Parameters:
    ///   - indexCount: V, the number of rows of the embedding.
    ///   - appendsOne: True for an embedding with a bias: the factor's dimension is then V + 1.
    ///   - averagesSamples: True for the normalization `reduce`; then ``endSample()`` ends each sample.
    /// - Throws: ``KroneckerFactorsError/invalidCount(name:value:)`` or ``KroneckerFactorsError/linearAlgebra(_:)``.
    public init(
        indexCount: Int, appendsOne: Bool = false, averagesSamples: Bool = false
    ) throws(KroneckerFactorsError) {
        guard indexCount >= 1, indexCount < 1 << 31 else { throw .invalidCount(name: "indices", value: indexCount) }
        sum = try carryingErrors { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Double>(shape: .diagonal(indexCount + (appendsOne ? 1 : 0)))
        }
        self.indexCount = indexCount
        self.appendsOne = appendsOne
        self.averagesSamples = averagesSamples
    }

    /// Adds one row.
    ///
    /// - Parameter index: Its index; the caller checks that it is one of ``indexCount``.
    public mutating func add(_ index: Int) {
        precondition(0..<indexCount ~= index, "an index of \(index) for \(indexCount) rows")
        rowCount += 1
        guard averagesSamples else {
            sum[index, index] += 1
            return
        }
        counts[index, default: 0] += 1
        openRowCount += 1
    }

    /// Ends a sample, whose rows are averaged.
    public mutating func endSample() {
        guard openRowCount > 0 else { return }
        for (index, count) in counts {
            let share = Double(count) / Double(openRowCount)
            sum[index, index] += share * share
        }
        counts.removeAll(keepingCapacity: true)
        openRowCount = 0
        endedSampleCount += 1
    }

    /// The factor: the sum divided by `divisor`, rounded once to fp32.
    ///
    /// - Parameter divisor: From ``FactorNormalization/divisor(of:counts:)``.
    /// - Returns: The factor, of a diagonal shape.
    /// - Throws: ``KroneckerFactorsError/noRows``, ``KroneckerFactorsError/exceedsStorage(row:)`` or
    ///   ``KroneckerFactorsError/linearAlgebra(_:)``; the sum is consumed.
    public consuming func finish(divisor: Double) throws(KroneckerFactorsError) -> PackedSymmetricMatrix<Float> {
        try finishSum().divided(by: divisor)
    }

    /// The sum itself, undivided.
    ///
    /// - Throws: ``KroneckerFactorsError/noRows``; the sum is consumed.
    public consuming func finishSum() throws(KroneckerFactorsError) -> PackedSymmetricMatrix<Double> {
        guard rowCount > 0 else { throw .noRows }
        endSample()
        if appendsOne { sum[indexCount, indexCount] = Double(averagesSamples ? endedSampleCount : rowCount) }
        return sum
    }
}
