/// A fault of a model's description.
public enum ReferenceModelError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Sizes that do not fit together.
    case invalidShape(String)

    /// What is wrong, in a sentence.
    public var description: String {
        switch self {
        case .invalidShape(let problem): "The model's shape is not possible: \(problem)."
        }
    }
}
