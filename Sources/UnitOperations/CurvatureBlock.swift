public import Identifiers
public import LinearAlgebra
public import TaskArithmetic

/// A linear layer or another parameter with curvature.
///
/// Source: DESIGN section 2.1.
public struct CurvatureBlock: Hashable, Sendable, Codable {
    /// The kind of the parameter.
    public enum Kind: Hashable, Sendable, Codable {
        /// A linear layer: a weight `[d_out, d_in]`, and a bias `[d_out]` if it has one.
        ///
        /// An embedding is a layer whose input rows are one-hot, so its A is a diagonal.
        case linear(outputs: Int, inputs: Int, hasBias: Bool, diagonals: DiagonalSides = [])
        /// A parameter with a full block over its `dimension` elements.
        case full(dimension: Int)

        /// The block's matrices with their shapes: A `d_in (+1)` and B `d_out`, or F `d`.
        public var factors: [(side: FactorSide, shape: SymmetricShape)] {
            switch self {
            case .linear(let outputs, let inputs, let hasBias, let diagonals):
                [
                    (.input, diagonals.shape(of: .input, dimension: inputs + (hasBias ? 1 : 0))),
                    (.gradient, diagonals.shape(of: .gradient, dimension: outputs)),
                ]
            case .full(let dimension): [(.full, .full(dimension))]
            }
        }

        /// The shape of its merge.
        public var mergeShape: MergeProblem.Shape {
            switch self {
            case .linear: .layer(outputs: factors[1].shape, inputs: factors[0].shape)
            case .full(let dimension): .parameter(count: dimension)
            }
        }

        /// The sides of a layer whose factor is a diagonal.
        public var diagonals: DiagonalSides {
            get {
                guard case .linear(_, _, _, let diagonals) = self else { return [] }
                return diagonals
            }
            set {
                guard case .linear(let outputs, let inputs, let hasBias, _) = self else { return }
                self = .linear(outputs: outputs, inputs: inputs, hasBias: hasBias, diagonals: newValue)
            }
        }

        /// The number of parameters that the block covers: a layer's weight and its bias if it has one, else 1.
        public var parameterCount: Int {
            if case .linear(_, _, true, _) = self { 2 } else { 1 }
        }
    }

    /// The layer's or the parameter's name.
    public var name: String
    /// The kind of the parameter.
    public var kind: Kind
    /// The parts of the checkpoint's tensors that the block covers, in the order of a merge's blobs.
    ///
    /// A layer has its weight and then its bias, if it has one. Another parameter has one part.
    public var regions: [ParameterRegion]
    /// The captured layers that use the weight, this block's first, if there are several.
    ///
    /// The block's factors are the sum over its uses.
    public var uses: [LayerUse] = []

    /// Describes a block.
    public init(name: String, kind: Kind, regions: [ParameterRegion]) {
        self.name = name
        self.kind = kind
        self.regions = regions
    }

    /// The block's matrices with their shapes: A `d_in (+1)` and B `d_out`, or F `d`.
    public var factors: [(side: FactorSide, shape: SymmetricShape)] { kind.factors }

    /// The captured layers behind the block's factors: the block itself, or each of its uses.
    public var layers: [CurvatureBlock] {
        guard !uses.isEmpty, case .linear(let outputs, let inputs, let hasBias, let diagonals) = kind else {
            return [self]
        }
        return uses.map { use in
            guard use.isTransposed else { return CurvatureBlock(name: use.name, kind: kind, regions: regions) }
            return CurvatureBlock(
                name: use.name,
                kind: .linear(outputs: inputs, inputs: outputs, hasBias: hasBias, diagonals: diagonals.transposed),
                regions: regions.map(\.transposed))
        }
    }

    /// The names of the checkpoint's tensors that hold the block's parameters, whole or in part.
    public var tensors: [String] { regions.map(\.tensor) }
}

/// One of several captured layers that use the same weight: an embedding, and the head that is tied to it.
public struct LayerUse: Hashable, Sendable, Codable {
    /// The captured layer's name.
    public var name: String
    /// Whether its inputs are the block's outputs: the stored matrix is read the other way round.
    public var isTransposed: Bool

    /// Describes a use.
    public init(name: String, isTransposed: Bool) {
        self.name = name
        self.isTransposed = isTransposed
    }

    /// The side of the block's factor that a side of the layer's belongs to.
    public func side(_ side: FactorSide) -> FactorSide {
        guard isTransposed, side != .full else { return side }
        return side == .input ? .gradient : .input
    }
}
