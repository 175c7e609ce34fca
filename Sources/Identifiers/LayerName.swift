/// A linear layer by its module path; its parameters are `<layer>.weight` and `<layer>.bias`.
public struct LayerName: Name {
    /// The text of the name.
    public let rawValue: String

    /// Names a layer by its text.
    public init(rawValue: String) {
        self.rawValue = rawValue
    }
}
