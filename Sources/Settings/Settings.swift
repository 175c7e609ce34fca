/// The settings in force, and the source of each.
///
/// The layers in order of precedence: the command line, the environment, the configuration file, defaults.
public struct Settings: Equatable, Sendable {
    /// A value and its source.
    public struct Entry: Equatable, Sendable {
        /// The setting.
        public var key: SettingKey
        /// The value, or `nil` when the program determines it.
        public var value: SettingValue?
        /// Its source.
        public var source: SettingSource
    }

    /// All settings, in the order of their declaration.
    public let entries: [Entry]

    /// Combines the layers.
    ///
    /// - Parameters:
    ///   - keys: All settings.
    ///   - flags: The values of the command line, by the keys' names.
    ///   - environment: The environment's variables.
    ///   - path: The path of the configuration file, or `nil`.
    /// - Throws: ``SettingsError`` with all problems at once.
    public init(
        keys: [SettingKey], flags: [String: SettingValue], environment: [String: String], file path: String?
    ) throws(SettingsError) {
        let file: SettingsFile?
        if let path { file = try SettingsFile(path: path, keys: keys) } else { file = nil }
        try self.init(keys: keys, flags: flags, environment: environment, file: file)
    }

    init(
        keys: [SettingKey], flags: [String: SettingValue], environment: [String: String], file: SettingsFile?
    ) throws(SettingsError) {
        let layers = Self.layers(flags: flags, environment: environment, file: file)
        var entries: [Entry] = []
        var problems = file?.problems ?? []
        for key in keys {
            var entry = Entry(key: key, value: key.defaultValue, source: .standard)
            for layer in layers {
                do {
                    guard let value = try layer.value(key) else { continue }
                    (entry.value, entry.source) = (value, layer.source(key))
                } catch {
                    problems.append(
                        "\(layer.source(key)): \(key.name) is \(layer.text(key)); expected \(key.kind.expectation).")
                }
                break
            }
            entries.append(entry)
        }
        guard problems.isEmpty else { throw .problems(problems) }
        self.entries = entries
    }

    // MARK: - Values

    /// The entry of a declared key.
    public func entry(_ name: String) -> Entry? {
        entries.first { $0.key.name == name }
    }

    /// A text, or `nil` when the program determines it.
    public func text(_ name: String) -> String? {
        if case .text(let text) = entry(name)?.value { text } else { nil }
    }

    /// A number, or `nil` when the program determines it.
    public func integer(_ name: String) -> Int? {
        if case .integer(let number) = entry(name)?.value { number } else { nil }
    }

    /// Whether a setting is true.
    public func truth(_ name: String) -> Bool {
        entry(name)?.value == .truth(true)
    }

    /// Several texts.
    public func list(_ name: String) -> [String] {
        if case .list(let texts) = entry(name)?.value { texts } else { [] }
    }

    /// A sentence about an invalid value, with its source.
    ///
    /// The value stands before the sentence, unless the sentence holds it.
    public func problem(_ name: String, _ sentence: String) -> String {
        guard let entry = entry(name) else { return "\(name): \(sentence)" }
        if case .text(let value)? = entry.value, !value.isEmpty, sentence.contains(value) {
            let source = "\(entry.source)"
            return source.hasSuffix(name) ? "\(source): \(sentence)" : "\(source): \(name): \(sentence)"
        }
        return "\(entry.source): \(name) is \(entry.value.map { "\($0)" } ?? "not set"); \(sentence)"
    }

    // MARK: - Showing and comparing

    /// The settings as a configuration file, each followed by its source.
    public var text: String {
        let lines = entries.map { entry in
            (entry.value.map { "\(entry.key.name): \($0)" } ?? "# \(entry.key.name):", "\(entry.source)")
        }
        let width = lines.map(\.0.count).max() ?? 0
        return lines.map { line, source in
            "\(line)\(String(repeating: " ", count: width - line.count))  # \(source)\n"
        }.joined()
    }

    /// The entries of other settings whose values differ from these.
    public func changes(to others: Settings) -> [Entry] {
        others.entries.filter { other in entry(other.key.name)?.value != other.value }
    }
}
