internal import Configuration

/// One layer of settings: its source, and how messages name its values.
struct SettingsLayer {
    let snapshot: any ConfigSnapshot
    let source: (SettingKey) -> SettingSource
    let text: (SettingKey) -> String

    /// The layer's value of a key, or `nil`.
    ///
    /// - Throws: what swift-configuration throws for a value of another type.
    func value(of key: SettingKey) throws -> SettingValue? {
        let found = try snapshot.value(forKey: AbsoluteConfigKey([key.name]), type: key.kind.configType)
        return found.value.flatMap { SettingValue($0.content) }
    }
}

extension Settings {
    /// The layers, in order of precedence.
    static func layers(
        flags: [String: SettingValue], environment: [String: String], file: SettingsFile?
    ) -> [SettingsLayer] {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (name, value) in flags { values[AbsoluteConfigKey([name])] = ConfigValue(value.content, isSecret: false) }
        // An empty variable counts as unset. An environment file can unset a variable only in this way.
        let variables = environment.filter { !$0.value.isEmpty }
        let variablesProvider = EnvironmentVariablesProvider(environmentVariables: variables)
        var layers = [
            SettingsLayer(
                snapshot: InMemoryProvider(name: "flags", values: values).snapshot(), source: { .flag($0.name) },
                text: { flags[$0.name].map { "\($0)" } ?? "" }),
            SettingsLayer(
                snapshot: variablesProvider.prefixKeys(with: "kfacd").snapshot(),
                source: { .environment($0.variable) }, text: { "\"\(variables[$0.variable] ?? "")\"" }),
        ]
        if let file, let snapshot = file.snapshot {
            layers.append(
                SettingsLayer(
                    snapshot: KnownKeys(snapshot: snapshot, names: Set(file.lines.keys)),
                    source: { .file(path: file.path, line: file.lines[$0.name] ?? 0) },
                    text: { file.texts[$0.name] ?? "" }))
        }
        return layers
    }
}

/// A snapshot that shows only some keys; a key without a value is absent.
private struct KnownKeys: ConfigSnapshot {
    let snapshot: YAMLSnapshot
    let names: Set<String>

    var providerName: String { snapshot.providerName }

    func value(forKey key: AbsoluteConfigKey, type: ConfigType) throws -> LookupResult {
        guard names.contains(key.components.joined(separator: ".")) else {
            return LookupResult(encodedKey: key.description, value: nil)
        }
        return try snapshot.value(forKey: key, type: type)
    }
}
