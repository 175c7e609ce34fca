/// One layer of settings: its values, their source, and how messages name them.
struct SettingsLayer {
    /// The layer has a value that is not of the setting's kind.
    struct OtherKind: Error {}

    /// The layer's value of a key, or `nil`.
    let value: (SettingKey) throws(OtherKind) -> SettingValue?
    let source: (SettingKey) -> SettingSource
    let text: (SettingKey) -> String
}

extension Settings {
    /// The layers, in order of precedence.
    static func layers(
        flags: [String: SettingValue], environment: [String: String], file: SettingsFile?
    ) -> [SettingsLayer] {
        // An empty variable counts as unset. An environment file can unset a variable only in this way.
        let variables = environment.filter { !$0.value.isEmpty }
        var layers = [
            SettingsLayer(
                value: { flags[$0.name] }, source: { .flag($0.name) }, text: { flags[$0.name].map { "\($0)" } ?? "" }),
            SettingsLayer(
                value: { key throws(SettingsLayer.OtherKind) in
                    guard let text = variables[key.variable] else { return nil }
                    return try SettingValue(key.kind, variable: text)
                },
                source: { .environment($0.variable) }, text: { "\"\(variables[$0.variable] ?? "")\"" }),
        ]
        if let file {
            layers.append(
                SettingsLayer(
                    value: { key throws(SettingsLayer.OtherKind) in
                        guard let node = file.values[key.name]?.node else { return nil }
                        return try SettingValue(key.kind, node)
                    },
                    source: { .file(path: file.path, line: file.values[$0.name]?.line ?? 0) },
                    text: { file.values[$0.name]?.text ?? "" }))
        }
        return layers
    }
}
