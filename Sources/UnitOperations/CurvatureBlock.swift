public import Identifiers
public import TaskArithmetic

/// A linear layer or another parameter with curvature.
///
/// Source: DESIGN section 2.1.
public struct CurvatureBlock: Hashable, Sendable, Codable {
    /// The kind of the parameter.
    public enum Kind: Hashable, Sendable, Codable {
        /// A linear layer: a weight `[d_out, d_in]`, and a bias `[d_out]` if it has one.
        case linear(outputs: Int, inputs: Int, hasBias: Bool)
        /// A parameter with a full block over its `dimension` elements.
        case full(dimension: Int)

        /// The block's matrices with their dimensions: A `d_in (+1)` and B `d_out`, or F `d`.
        public var factors: [(side: FactorSide, dimension: Int)] {
            switch self {
            case .linear(let outputs, let inputs, let hasBias):
                [(.input, inputs + (hasBias ? 1 : 0)), (.gradient, outputs)]
            case .full(let dimension): [(.full, dimension)]
            }
        }

        /// The shape of its merge.
        public var mergeShape: MergeProblem.Shape {
            switch self {
            case .linear(let outputs, let inputs, let hasBias):
                .layer(outputs: outputs, inputs: inputs + (hasBias ? 1 : 0))
            case .full(let dimension): .parameter(count: dimension)
            }
        }

        /// The number of parameters that the block covers: a layer's weight and its bias if it has one, else 1.
        public var parameterCount: Int {
            if case .linear(_, _, true) = self { 2 } else { 1 }
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

    /// Describes a block.
    public init(name: String, kind: Kind, regions: [ParameterRegion]) {
        self.name = name
        self.kind = kind
        self.regions = regions
    }

    /// The block's matrices with their dimensions: A `d_in (+1)` and B `d_out`, or F `d`.
    public var factors: [(side: FactorSide, dimension: Int)] { kind.factors }

    /// The names of the checkpoint's tensors that hold the block's parameters, whole or in part.
    public var tensors: [String] { regions.map(\.tensor) }
}
