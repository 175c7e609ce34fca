public import Identifiers
public import LinearAlgebra

/// A parameter in a checkpoint: a tensor, or a contiguous part of one.
public struct TensorSource: Hashable, Sendable {
    /// The element type.
    public var elementType: ElementType
    /// The place of the bytes.
    public var slice: FileSlice
    /// The order of a weight's dimensions; a merge writes the weight in the base's order.
    public var layout: WeightLayout

    /// Describes a parameter's place.
    public init(elementType: ElementType, slice: FileSlice, layout: WeightLayout = .outIn) {
        self.elementType = elementType
        self.slice = slice
        self.layout = layout
    }
}

/// The places of parameters in a checkpoint: a block's, in the order of ``CurvatureBlock/regions``, or one tensor's.
public typealias ParameterSources = [TensorSource]
