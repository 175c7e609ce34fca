public import Identifiers

/// The convention for positions (tokens, patches) that share a weight.
///
/// `expand` and `reduce` follow Eschenhagen et al. 2023 (arXiv 2311.00636). `tak` is the convention of the official
/// code of task arithmetic with Kronecker-factored regularizers; its B has an additional factor 1/R. Factors of
/// different normalization are never summed.
public enum FactorNormalization: String, CaseIterable, Sendable {
    /// A = 1/rows Σ ããᵀ, B = 1/(M·rows) Σ ggᵀ.
    case tak
    /// A = 1/rows Σ ããᵀ, B = 1/(N·M) Σ ggᵀ.
    case expand
    /// A = 1/N Σ āāᵀ with ā the mean over a sample's rows, B = 1/(N·M) Σ ḡḡᵀ with ḡ the sum over a sample's rows.
    case reduce
}

/// How the output space is probed for the gradients g.
public enum GradientProbes: Equatable, Sendable {
    /// M draws ε ~ N(0, I), averaged.
    case monteCarlo(count: Int)
    /// The basis vectors of the output space, summed: the exact factor.
    case exactBasis(outputCount: Int)

    /// Gradient rows per sample and position.
    public var rowCount: Int {
        switch self {
        case .monteCarlo(let count), .exactBasis(let count): count
        }
    }

    /// The divisor of the sum over probes: M, or 1 for the exact factor.
    public var divisor: Int {
        switch self {
        case .monteCarlo(let count): count
        case .exactBasis: 1
        }
    }
}

/// The counts behind one factor: N samples, their rows, M probes.
///
/// A layer has rows of its own: tokens after padding, tokens routed to an expert, patches. Their number is Σ R_n. It is
/// N·R if every sample has R of them, and it may be smaller than N.
public struct SampleCounts: Equatable, Sendable {
    /// N, the number of samples.
    public let samples: Int
    /// Input rows of the layer, over all samples.
    public let rows: Int
    /// The probes of the gradients; unused for A.
    public let probes: GradientProbes

    /// Makes checked counts.
    /// - Throws: ``KroneckerFactorsError/invalidCount(name:value:)`` for the first count that is not positive.
    public init(
        samples: Int,
        rows: Int,
        probes: GradientProbes = .monteCarlo(count: 1)
    ) throws(KroneckerFactorsError) {
        let named = [("samples", samples), ("rows", rows), ("probes", probes.rowCount)]
        for (name, value) in named where value < 1 { throw .invalidCount(name: name, value: value) }
        self.samples = samples
        self.rows = rows
        self.probes = probes
    }
}

extension FactorNormalization {
    /// The divisor of the sum of outer products of a factor's rows.
    ///
    /// - Parameters:
    ///   - side: The kind of the factor.
    ///   - counts: N, the rows and M. For a full block the rows do not matter.
    /// - Returns: The divisor as fp64, exact below 2^53.
    public func divisor(of side: FactorSide, counts: SampleCounts) -> Double {
        let samples = Double(counts.samples)
        let rows = Double(counts.rows)
        let probes = Double(counts.probes.divisor)
        return switch (side, self) {
        case (.input, .tak), (.input, .expand): rows
        case (.input, .reduce): samples
        case (.gradient, .tak): rows * probes
        case (.gradient, .expand), (.gradient, .reduce), (.full, _): samples * probes
        }
    }

    /// The reduction of one sample's rows before the outer product, if every sample has equally many.
    ///
    /// - Parameters:
    ///   - side: The kind of the factor.
    ///   - positions: R.
    /// - Returns: ``PositionReduction/none`` except for `reduce` with R > 1.
    public func positionReduction(of side: FactorSide, positions: Int) -> PositionReduction {
        guard self == .reduce, positions > 1 else { return .none }
        return switch side {
        case .input: .mean(positions: positions)
        case .gradient: .sum(positions: positions)
        case .full: .none
        }
    }
}

/// How the consecutive rows of one sample are combined.
public enum PositionReduction: Equatable, Sendable {
    /// Each row counts separately.
    case none
    /// Their mean counts: ā.
    case mean(positions: Int)
    /// Their sum counts: ḡ.
    case sum(positions: Int)

    /// Rows of one sample that become one; 1 when each row counts separately.
    public var positions: Int {
        switch self {
        case .none: 1
        case .mean(let positions), .sum(let positions): positions
        }
    }

    /// What the sum of a sample's rows is multiplied by.
    public var scale: Double {
        switch self {
        case .none, .sum: 1
        case .mean(let positions): 1 / Double(positions)
        }
    }
}
