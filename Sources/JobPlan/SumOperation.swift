public import Identifiers
public import KroneckerFactors
public import LinearAlgebra

/// A factor of a finished set → a packed fp32 triangle.
public struct ImportOperation: Equatable, Sendable {
    /// The factor's name, for messages.
    public var name: String
    /// The matrix's rows and columns.
    public var dimension: Int
    /// `F32` or `F64`.
    public var elementType: ElementType
    /// Whether the tensor is a packed lower triangle rather than a square.
    public var isPacked: Bool
    /// Its bytes.
    public var slice: FileSlice

    /// Describes an import.
    public init(name: String, dimension: Int, elementType: ElementType, isPacked: Bool, slice: FileSlice) {
        self.name = name
        self.dimension = dimension
        self.elementType = elementType
        self.isPacked = isPacked
        self.slice = slice
    }
}

/// A sum of partial sums.
public struct CombineOperation<Blob: Equatable & Sendable>: Equatable, Sendable {
    /// The partial sums, fp64 packed, in the order of their rows.
    public var parts: [Blob]
    /// The matrix's dimension.
    public var dimension: Int
    /// The divisor of the sum.
    public var divisor: Double

    /// Describes a sum of partial sums.
    public init(parts: [Blob], dimension: Int, divisor: Double) {
        self.parts = parts
        self.dimension = dimension
        self.divisor = divisor
    }

    func mapBlobs<Other, Failure: Error>(
        _ name: (Blob) throws(Failure) -> Other
    ) throws(Failure) -> CombineOperation<Other> {
        CombineOperation<Other>(parts: try mapAll(parts, name), dimension: dimension, divisor: divisor)
    }
}

/// An element-wise sum over tasks of packed triangles, for every target.
///
/// Source: DESIGN section 2.2 (paper eq. 8).
public struct AccumulateOperation<Blob: Equatable & Sendable>: Equatable, Sendable {
    /// The matrix's side, which determines the coefficients.
    public var side: FactorSide
    /// The matrix's dimension.
    public var dimension: Int
    /// Every task's factor, F32 packed, in the job's order.
    public var factors: [Blob]
    /// w_t of λ_t, in the order of the factors.
    public var weights: [Double]
    /// The sums to form, in the order of the unit's blobs: each omits the factor at a position, or none.
    public var exclusions: [Int?]
    /// Whether B is a sum or a mean over tasks.
    public var scale: RegularizerScale

    /// Describes a sum over tasks.
    public init(
        side: FactorSide, dimension: Int, factors: [Blob], weights: [Double], exclusions: [Int?],
        scale: RegularizerScale
    ) {
        self.side = side
        self.dimension = dimension
        self.factors = factors
        self.weights = weights
        self.exclusions = exclusions
        self.scale = scale
    }

    func mapBlobs<Other, Failure: Error>(
        _ name: (Blob) throws(Failure) -> Other
    ) throws(Failure) -> AccumulateOperation<Other> {
        AccumulateOperation<Other>(
            side: side, dimension: dimension, factors: try mapAll(factors, name), weights: weights,
            exclusions: exclusions, scale: scale)
    }
}

/// A layer's sums over tasks in the form `optimal`.
///
/// Both sides are one operation, because the coefficients of each depend on both.
///
/// Source: DESIGN section 2.2.
public struct OptimalAccumulateOperation<Blob: Equatable & Sendable>: Equatable, Sendable {
    /// ⟨X_s, X_t⟩ of a side's factors over tasks, row by row.
    public enum InnerProducts: Equatable, Sendable {
        /// In a plan: the unit that measures them.
        case measured(by: UnitIndex)
        /// In a lease: the numbers.
        case values([Double])
    }

    /// The inputs for one side.
    public struct Side: Equatable, Sendable {
        /// The matrix's dimension.
        public var dimension: Int
        /// Every task's factor, F32 packed, in the job's order.
        public var factors: [Blob]
        /// The factors' inner products.
        public var products: InnerProducts

        /// Describes a side.
        public init(dimension: Int, factors: [Blob], products: InnerProducts) {
            self.dimension = dimension
            self.factors = factors
            self.products = products
        }
    }

    /// A.
    public var input: Side
    /// B.
    public var gradient: Side
    /// w_t of λ_t, in the order of the factors.
    public var weights: [Double]
    /// The number of Kronecker products for each target.
    public var rank: Int
    /// The targets: each omits the task at a position, or none.
    ///
    /// The unit's blobs are ordered by side, A first, then by target, then by Kronecker product.
    public var exclusions: [Int?]
    /// Whether the result is scaled as a sum or a mean over tasks.
    public var scale: RegularizerScale

    /// Describes a layer's optimal sums.
    public init(
        input: Side, gradient: Side, weights: [Double], rank: Int, exclusions: [Int?], scale: RegularizerScale
    ) {
        self.input = input
        self.gradient = gradient
        self.weights = weights
        self.rank = rank
        self.exclusions = exclusions
        self.scale = scale
    }

    /// The position of a matrix among the unit's blobs.
    ///
    /// - Parameters:
    ///   - side: A or B.
    ///   - target: Position among the targets.
    ///   - term: The number of the Kronecker product, from 0.
    /// - Returns: The blob's position.
    public func position(of side: FactorSide, target: Int, term: Int) -> Int {
        ((side == .gradient ? exclusions.count : 0) + target) * rank + term
    }

    func mapBlobs<Other, Failure: Error>(
        _ name: (Blob) throws(Failure) -> Other
    ) throws(Failure) -> OptimalAccumulateOperation<Other> {
        OptimalAccumulateOperation<Other>(
            input: try input.mapBlobs(name), gradient: try gradient.mapBlobs(name), weights: weights, rank: rank,
            exclusions: exclusions, scale: scale)
    }
}

extension OptimalAccumulateOperation.Side {
    func mapBlobs<Other, Failure: Error>(
        _ name: (Blob) throws(Failure) -> Other
    ) throws(Failure) -> OptimalAccumulateOperation<Other>.Side {
        let products: OptimalAccumulateOperation<Other>.InnerProducts =
            switch products {
            case .measured(let unit): .measured(by: unit)
            case .values(let values): .values(values)
            }
        return OptimalAccumulateOperation<Other>.Side(
            dimension: dimension, factors: try mapAll(factors, name), products: products)
    }
}

/// `Sequence.map` with a typed throw, which the standard library's loses for generic closures.
private func mapAll<Value, Other, Failure: Error>(
    _ values: [Value], _ transform: (Value) throws(Failure) -> Other
) throws(Failure) -> [Other] {
    var mapped: [Other] = []
    mapped.reserveCapacity(values.count)
    for value in values { mapped.append(try transform(value)) }
    return mapped
}
