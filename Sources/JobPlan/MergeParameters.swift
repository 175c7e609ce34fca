public import TaskArithmetic

/// The parameters of a merge method that a job file gives, by name: the job's, or one model's own.
///
/// The reader takes only those that the method's registry entry lists, and checks their kind and range.
public struct MergeParameters: Equatable, Sendable, ExpressibleByDictionaryLiteral {
    private var settings: [String: ParameterSetting]

    /// Parameters by name; those that the file does not set are absent.
    public init(dictionaryLiteral elements: (String, ParameterSetting)...) {
        settings = Dictionary(elements) { $1 }
    }

    /// What the file sets under a name.
    public subscript(name: String) -> ParameterSetting? {
        get { settings[name] }
        set { settings[name] = newValue }
    }

    /// What the file sets for a parameter.
    public subscript(parameter: MergeParameter) -> ParameterSetting? { settings[parameter.name] }

    /// Whether any value depends on the depth.
    var hasGradient: Bool { settings.values.contains(where: \.isGradient) }
}
