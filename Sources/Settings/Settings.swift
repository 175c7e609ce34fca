/// The settings in force, and where each comes from.
///
/// Layers, the first that says something counts: the command line, the environment, the configuration file, defaults.
public struct Settings: Equatable, Sendable {
    /// A value and where it comes from.
    public struct Entry: Equatable, Sendable {
        /// What is set.
        public var key: SettingKey
        /// The value, or `nil` when the program finds out by itself.
        public var value: SettingValue?
        /// Where it comes from.
        public var source: SettingSource
    }

    /// All settings, in the order of their declaration.
    public let entries: [Entry]

    /// Combines the layers.
    ///
    /// - Parameters:
    ///   - keys: All that can be set.
    ///   - flags: What the command line says, by the keys' names.
    ///   - environment: The environment's variables.
    ///   - path: The configuration file's, or `nil`.
    /// - Throws: ``SettingsError``, with all that is wrong at once.
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
                    guard let value = try layer.value(of: key) else { continue }
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

    /// The entry of a key that was declared.
    public func entry(_ name: String) -> Entry? {
        entries.first { $0.key.name == name }
    }

    /// A text, or `nil` when the program finds out by itself.
    public func text(_ name: String) -> String? {
        if case .text(let text) = entry(name)?.value { text } else { nil }
    }

    /// A number, or `nil` when the program finds out by itself.
    public func integer(_ name: String) -> Int? {
        if case .integer(let number) = entry(name)?.value { number } else { nil }
    }

    /// Whether something is on.
    public func truth(_ name: String) -> Bool {
        entry(name)?.value == .truth(true)
    }

    /// Several texts.
    public func list(_ name: String) -> [String] {
        if case .list(let texts) = entry(name)?.value { texts } else { [] }
    }

    /// A sentence that a value cannot be, with its place.
    public func problem(_ name: String, _ sentence: String) -> String {
        guard let entry = entry(name) else { return "\(name): \(sentence)" }
        return "\(entry.source): \(name) is \(entry.value.map { "\($0)" } ?? "not set"); \(sentence)"
    }

    // MARK: - Showing and comparing

    /// The settings as a configuration file, each with its source behind it.
    public var text: String {
        let lines = entries.map { entry in
            (entry.value.map { "\(entry.key.name): \($0)" } ?? "# \(entry.key.name):", "\(entry.source)")
        }
        let width = lines.map(\.0.count).max() ?? 0
        return lines.map { line, source in
            "\(line)\(String(repeating: " ", count: width - line.count))  # \(source)\n"
        }.joined()
    }

    /// The entries of other settings whose values differ from those here.
    public func changes(to others: Settings) -> [Entry] {
        others.entries.filter { other in entry(other.key.name)?.value != other.value }
    }
}
