public import Identifiers

/// The part of a stored tensor that holds one parameter of a block.
///
/// The part is contiguous (an expert of a fused tensor, some rows of one), or some columns of a stored matrix. A block
/// reads and merges its parameters through its regions.
public struct ParameterRegion: Hashable, Sendable, Codable {
    /// The name of the stored tensor.
    public var tensor: String
    /// The part's elements, in the order in which the tensor stores them.
    public var elements: ElementRuns
    /// The order of a weight's dimensions.
    public var layout: WeightLayout

    /// Describes a part of a tensor.
    public init(tensor: String, elements: ElementRuns, layout: WeightLayout = .outIn) {
        self.tensor = tensor
        self.elements = elements
        self.layout = layout
    }

    /// Describes a contiguous part of a tensor.
    public init(tensor: String, elements: Range<Int>, layout: WeightLayout = .outIn) {
        self.init(tensor: tensor, elements: ElementRuns(elements), layout: layout)
    }

    /// The same part, read the other way round.
    var transposed: ParameterRegion {
        ParameterRegion(tensor: tensor, elements: elements, layout: layout == .outIn ? .inOut : .outIn)
    }
}
