public import Identifiers
public import LinearAlgebra

/// A parameter in a checkpoint: a tensor, or a part of one.
public struct TensorSource: Hashable, Sendable {
    /// The element type.
    public var elementType: ElementType
    /// The place of the bytes, from the first element to the last.
    public var slice: FileSlice
    /// The parameter's elements among those of the slice, from the first to the last; `nil` if it has all of them.
    public var runs: ElementRuns?
    /// The order of a weight's dimensions; a merge writes the weight in the base's order.
    public var layout: WeightLayout

    /// Describes a parameter's place.
    public init(elementType: ElementType, slice: FileSlice, runs: ElementRuns? = nil, layout: WeightLayout = .outIn) {
        self.elementType = elementType
        self.slice = slice
        self.runs = runs
        self.layout = layout
    }

    /// Bytes of the parameter's elements, which are fewer than the slice's if there are gaps between them.
    public var byteCount: UInt64 {
        runs.map { UInt64($0.elementCount * elementType.byteCount) } ?? slice.byteCount
    }
}

/// The places of parameters in a checkpoint: a block's, in the order of ``CurvatureBlock/regions``, or one tensor's.
public typealias ParameterSources = [TensorSource]
