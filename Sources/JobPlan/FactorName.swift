public import Identifiers

/// A curvature matrix of the network: of which layer or parameter, and which side.
public struct FactorName: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    /// The layer's or the parameter's name.
    public var owner: String
    /// Which of its matrices.
    public var side: FactorSide

    /// Names a matrix.
    public init(owner: String, side: FactorSide) {
        self.owner = owner
        self.side = side
    }

    /// `<owner>.A`, as the tensor is named in files.
    public var description: String { "\(owner).\(side.rawValue)" }

    /// Orders by owner, then side.
    public static func < (left: FactorName, right: FactorName) -> Bool {
        (left.owner, left.side.rawValue) < (right.owner, right.side.rawValue)
    }
}
