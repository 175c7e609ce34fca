import Foundation
internal import Yams

// How the environment and the configuration file write the values of each kind.
extension SettingValue {
    /// Reads an environment variable; commas separate the texts of a list.
    init(_ kind: SettingKey.Kind, variable text: String) throws(SettingsLayer.OtherKind) {
        switch kind {
        case .text: self = .text(text)
        case .integer:
            guard let number = Int(text) else { throw SettingsLayer.OtherKind() }
            self = .integer(number)
        case .truth:
            switch text.lowercased() {
            case "true", "yes", "1": self = .truth(true)
            case "false", "no", "0": self = .truth(false)
            default: throw SettingsLayer.OtherKind()
            }
        case .list:
            let texts = text.split(separator: ",", omittingEmptySubsequences: false)
            self = .list(texts.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) })
        }
    }

    /// Reads a value of the configuration file; numbers and truths are YAML's.
    init(_ kind: SettingKey.Kind, _ node: Node) throws(SettingsLayer.OtherKind) {
        switch (kind, node) {
        case (.text, .scalar(let scalar)): self = .text(scalar.string)
        case (.integer, .scalar(let scalar)):
            guard let number = Int.construct(from: scalar) else { throw SettingsLayer.OtherKind() }
            self = .integer(number)
        case (.truth, .scalar(let scalar)):
            guard let truth = Bool.construct(from: scalar) else { throw SettingsLayer.OtherKind() }
            self = .truth(truth)
        case (.list, .sequence(let nodes)):
            let texts = nodes.compactMap { $0.scalar?.string }
            guard texts.count == nodes.count else { throw SettingsLayer.OtherKind() }
            self = .list(texts)
        default: throw SettingsLayer.OtherKind()
        }
    }
}
