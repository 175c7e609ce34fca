public import Identifiers
public import LinearAlgebra

/// The sides of a layer whose factor is a diagonal, stored as a vector.
///
/// A of an embedding is the diagonal of its counts. B of a head over a vocabulary would be too large as a square, so
/// its diagonal stands for it.
///
/// Source: DESIGN section 2.1.
public struct DiagonalSides: OptionSet, Hashable, Sendable, Codable {
    /// One bit for each side.
    public let rawValue: UInt8

    /// Takes the bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A.
    public static let input = DiagonalSides(rawValue: 1)
    /// B.
    public static let gradient = DiagonalSides(rawValue: 2)

    /// One side; a full block is never a diagonal.
    public init(_ side: FactorSide) {
        switch side {
        case .input: self = .input
        case .gradient: self = .gradient
        case .full: self = []
        }
    }

    /// The sides of the transposed layer, whose inputs are this layer's outputs.
    public var transposed: DiagonalSides {
        var sides: DiagonalSides = []
        if contains(.input) { sides.insert(.gradient) }
        if contains(.gradient) { sides.insert(.input) }
        return sides
    }

    /// The shape of a side's factor.
    public func shape(of side: FactorSide, dimension: Int) -> SymmetricShape {
        let sides = DiagonalSides(side)
        return SymmetricShape(dimension: dimension, isDiagonal: !sides.isEmpty && isSuperset(of: sides))
    }
}
