/// A tensor of joint rows in a factor or regularizer file, by its owner.
///
/// Source: DESIGN section 3.
public struct JointTensorName: Hashable, Sendable, CustomStringConvertible {
    /// What a tensor holds.
    public enum Content: String, Hashable, Sendable, CaseIterable {
        /// Rows of inputs.
        case inputRows = "input_rows"
        /// Rows of gradients.
        case gradientRows = "gradient_rows"
        /// The mean squares of inputs, by position.
        case inputSquares = "input_squares"
        /// The mean squares of gradients, by position.
        case gradientSquares = "gradient_squares"
    }

    /// The layer or parameter; nil for the constant.
    public let owner: String?
    /// What it holds.
    public let content: Content

    /// The tensor's name.
    public var description: String { owner.map { "\($0).\(content.rawValue)" } ?? content.rawValue }

    /// Recognises a tensor's name; nil if it is none of joint rows.
    public init?(_ name: String) {
        for content in Content.allCases {
            let suffix = ".\(content.rawValue)"
            if name == content.rawValue {
                (owner, self.content) = (nil, content)
                return
            }
            if name.hasSuffix(suffix), name.count > suffix.count {
                (owner, self.content) = (String(name.dropLast(suffix.count)), content)
                return
            }
        }
        return nil
    }
}
