/// A parameter tensor by its full name in the checkpoint.
public struct ParameterName: Name {
    /// The text of the name.
    public let rawValue: String

    /// Names a parameter by its text.
    public init(rawValue: String) {
        self.rawValue = rawValue
    }
}
