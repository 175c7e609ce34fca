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
    /// What an adapter adds to the parameter; `nil` if the slice has its values.
    public var update: LowRankUpdate?

    /// Describes a parameter's place.
    public init(elementType: ElementType, slice: FileSlice, runs: ElementRuns? = nil, layout: WeightLayout = .outIn) {
        self.elementType = elementType
        self.slice = slice
        self.runs = runs
        self.layout = layout
    }

    /// The slices of files that it reads.
    public var slices: [FileSlice] { [slice] + (update?.slices ?? []) }

    /// The slice of the file to which a message about the parameter belongs.
    public var ownSlice: FileSlice { update?.up.slice ?? slice }

    /// Number of the parameter's elements.
    public var elementCount: Int { runs?.elementCount ?? Int(slice.byteCount) / elementType.byteCount }

    /// Bytes of the parameter's elements, which are fewer than the slice's if there are gaps between them.
    public var byteCount: UInt64 {
        runs.map { UInt64($0.elementCount * elementType.byteCount) } ?? slice.byteCount
    }
}

/// The places of parameters in a checkpoint: a block's, in the order of ``CurvatureBlock/regions``, or one tensor's.
public typealias ParameterSources = [TensorSource]
