/// A setting: a flag, an environment variable, and a key of the configuration file.
public struct SettingKey: Hashable, Sendable {
    /// The type of a value.
    public enum Kind: Hashable, Sendable {
        /// Any text.
        case text
        /// A whole number.
        case integer
        /// `true` or `false`.
        case truth
        /// Several texts.
        case list

        /// The expected value, for error messages.
        var expectation: String {
            switch self {
            case .text: "a text"
            case .integer: "a whole number"
            case .truth: "true or false"
            case .list: "a list of texts"
            }
        }
    }

    /// The name of the flag without dashes, and of the key in the file.
    public var name: String
    /// The type of its value.
    public var kind: Kind
    /// The value when no layer sets one; `nil` when the program determines it.
    public var defaultValue: SettingValue?
    /// Whether a change takes effect without a restart.
    public var isReloadable: Bool

    /// Declares a setting.
    public init(_ name: String, _ kind: Kind, default defaultValue: SettingValue? = nil, isReloadable: Bool = false) {
        self.name = name
        self.kind = kind
        self.defaultValue = defaultValue
        self.isReloadable = isReloadable
    }

    /// The name of the environment variable: `KFACD_STATE_DIRECTORY` for `state-directory`.
    public var variable: String {
        "KFACD_" + name.uppercased().replacing("-", with: "_")
    }
}

/// A value of a setting.
public enum SettingValue: Hashable, Sendable, CustomStringConvertible {
    /// Any text.
    case text(String)
    /// A whole number.
    case integer(Int)
    /// Yes or no.
    case truth(Bool)
    /// Several texts.
    case list([String])

    /// The value as the configuration file writes it.
    public var description: String {
        switch self {
        case .text(let text): Self.quoted(text)
        case .integer(let number): "\(number)"
        case .truth(let truth): "\(truth)"
        case .list(let texts): "[\(texts.map(Self.quoted).joined(separator: ", "))]"
        }
    }

    /// The text, quoted where YAML would read it as another type.
    private static func quoted(_ text: String) -> String {
        let plain = text.utf8.allSatisfy { byte in
            byte.isASCIILetterOrDigit || "/._-".utf8.contains(byte)
        }
        let isWord = ["true", "false", "yes", "no", "on", "off", "null", "~"].contains(text.lowercased())
        guard !plain || text.isEmpty || isWord || Double(text) != nil || text.hasPrefix("-") else { return text }
        return "\"\(text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
    }
}

extension UInt8 {
    fileprivate var isASCIILetterOrDigit: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
