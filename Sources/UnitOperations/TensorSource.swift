public import LinearAlgebra

/// A parameter tensor in a checkpoint.
public struct TensorSource: Hashable, Sendable {
    /// The element type.
    public var elementType: ElementType
    /// The place of the bytes.
    public var slice: FileSlice

    /// Describes a tensor's place.
    public init(elementType: ElementType, slice: FileSlice) {
        self.elementType = elementType
        self.slice = slice
    }
}

/// A block's parameters in a checkpoint, in the order of ``CurvatureBlock/parameters``.
public typealias BlockParameters = [TensorSource]
