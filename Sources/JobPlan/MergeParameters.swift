public import TaskArithmetic

/// The parameters of a merge method in a job file, by name: those of the job, or those of one model.
///
/// The reader accepts only parameters that the method's registry entry lists, and checks their kind and range.
public struct MergeParameters: Equatable, Sendable, ExpressibleByDictionaryLiteral {
    private var settings: [String: ParameterSetting]

    /// Takes parameters by name; a parameter that the file does not set is absent.
    public init(dictionaryLiteral elements: (String, ParameterSetting)...) {
        settings = Dictionary(elements) { $1 }
    }

    /// The setting of a name.
    public subscript(name: String) -> ParameterSetting? {
        get { settings[name] }
        set { settings[name] = newValue }
    }

    /// The setting of a parameter.
    public subscript(parameter: MergeParameter) -> ParameterSetting? { settings[parameter.name] }

    /// All settings, in the order of their names.
    var byName: [(name: String, setting: ParameterSetting)] {
        settings.sorted { $0.key < $1.key }.map { (name: $0.key, setting: $0.value) }
    }

    /// The words, which are the same for every tensor.
    var words: MergeArguments {
        MergeArguments(
            settings.compactMapValues { setting in
                guard case .word(let word) = setting else { return nil }
                return .word(word)
            })
    }

    /// Whether any value depends on a tensor: on its name, or on its place in the network.
    var dependOnTensor: Bool { settings.values.contains(where: \.dependsOnTensor) }
    /// Whether any value depends on a tensor's place in the network.
    var dependOnPlace: Bool { settings.values.contains(where: \.dependsOnPlace) }
}
