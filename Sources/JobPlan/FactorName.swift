public import Identifiers

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
