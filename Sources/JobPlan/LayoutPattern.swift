public import Identifiers

/// A line of the job's key `layout`: the layout of the layers that a pattern matches.
public struct LayoutPattern: Equatable, Sendable {
    /// The pattern of names.
    public var pattern: Located<String>
    /// The layout of these layers' weights.
    public var layout: WeightLayout

    /// Combines a pattern with a layout.
    public init(_ pattern: Located<String>, _ layout: WeightLayout) {
        self.pattern = pattern
        self.layout = layout
    }
}
