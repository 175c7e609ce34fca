/// Why the settings cannot be used.
public enum SettingsError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file cannot be read.
    case unreadableFile(path: String, cause: String)
    /// The file is no YAML mapping.
    case malformedFile(path: String, problem: String)
    /// All problems with the values, one sentence each.
    case problems([String])

    /// The sentences for the person who must act.
    public var description: String {
        switch self {
        case .unreadableFile(let path, let cause):
            "\(path): the configuration file cannot be read: \(cause)."
        case .malformedFile(let path, let problem):
            "\(path): \(problem). Expected a YAML mapping of settings, one \"key: value\" a line."
        case .problems(let problems): problems.joined(separator: "\n")
        }
    }
}
