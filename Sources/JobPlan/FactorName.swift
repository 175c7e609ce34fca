public import Identifiers
public import KroneckerFactors
public import TaskArithmetic

/// The name of a curvature matrix: its layer or parameter, and its side.
public struct FactorName: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    /// The layer's or the parameter's name.
    public var owner: String
    /// The matrix's side.
    public var side: FactorSide

    /// Names a matrix.
    public init(owner: String, side: FactorSide) {
        self.owner = owner
        self.side = side
    }

    /// `<owner>.A`, the tensor's name in files.
    public var description: String { "\(owner).\(side.rawValue)" }

    /// Orders by owner, then side.
    public static func < (left: FactorName, right: FactorName) -> Bool {
        (left.owner, left.side.rawValue) < (right.owner, right.side.rawValue)
    }
}

/// A linear layer, or another parameter, with curvature.
///
/// Source: DESIGN section 2.1.
public struct CurvatureBlock: Hashable, Sendable, Codable {
    /// The kind of a block's parameter.
    public enum Kind: Hashable, Sendable, Codable {
        /// A linear layer: `<name>.weight` `[d_out, d_in]` and perhaps `<name>.bias` `[d_out]`.
        case linear(outputs: Int, inputs: Int, hasBias: Bool)
        /// A parameter with a full block over its `dimension` elements.
        case full(dimension: Int)
    }

    /// The layer's or the parameter's name.
    public var name: String
    /// The kind of its parameter.
    public var kind: Kind

    /// Describes a block.
    public init(name: String, kind: Kind) {
        self.name = name
        self.kind = kind
    }

    /// The block's matrices with their dimensions: A `d_in (+1)` and B `d_out`, or F `d`.
    public var factors: [(side: FactorSide, dimension: Int)] {
        switch kind {
        case .linear(let outputs, let inputs, let hasBias):
            [(.input, inputs + (hasBias ? 1 : 0)), (.gradient, outputs)]
        case .full(let dimension): [(.full, dimension)]
        }
    }

    /// The parameters of the checkpoint that the block covers.
    public var parameters: [String] {
        switch kind {
        case .linear(_, _, let hasBias): hasBias ? ["\(name).weight", "\(name).bias"] : ["\(name).weight"]
        case .full: [name]
        }
    }

    /// The shape of its merge.
    public var mergeShape: MergeProblem.Shape {
        switch kind {
        case .linear(let outputs, let inputs, let hasBias): .layer(outputs: outputs, inputs: inputs + (hasBias ? 1 : 0))
        case .full(let dimension): .parameter(count: dimension)
        }
    }
}

extension FactorSide {
    /// The block's kind in mathematical terms.
    public var role: FactorRole {
        switch self {
        case .input: .input
        case .gradient: .gradient
        case .full: .fullBlock
        }
    }
}
