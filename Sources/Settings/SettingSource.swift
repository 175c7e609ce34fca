/// The source of a setting's value.
public enum SettingSource: Hashable, Sendable, CustomStringConvertible {
    /// The command line.
    case flag(String)
    /// The environment.
    case environment(String)
    /// The configuration file, and its line.
    case file(path: String, line: Int)
    /// The default.
    case standard

    /// The source as it is printed, and as errors begin.
    public var description: String {
        switch self {
        case .flag(let name): "--\(name)"
        case .environment(let variable): variable
        case .file(let path, let line): "\(path):\(line)"
        case .standard: "default"
        }
    }
}
