import Identifiers
import Yams

/// The key `rename` of a model entry.
extension JobFileReader {
    /// Reads `rename`: a mapping of patterns to names, in the file's order.
    mutating func readRename(_ node: Node) -> [RenameRule] {
        guard case .mapping(let mapping) = node, !mapping.isEmpty else {
            report(node, "\"rename\" must be a mapping of patterns to names, such as {\"module.*\": \"*\"}.")
            return []
        }
        guard mapping.count <= JobFileLimits.renames else {
            report(
                node,
                "\"rename\" has \(mapping.count) entries; at most \(JobFileLimits.renames) are allowed. Use patterns.")
            return []
        }
        return mapping.compactMap { key, value in
            guard let from = text(key, "rename"), let to = text(value, "rename") else { return nil }
            let rule = RenameRule(from: from, to: to)
            guard rule.starCounts.from == rule.starCounts.to else {
                report(
                    value,
                    "\"rename\" gives \"\(from.value.excerpt)\" with \(rule.starCounts.from) * the name "
                        + "\"\(to.value.excerpt)\" with \(rule.starCounts.to); expected as many, because each * of the "
                        + "name stands for the text of the pattern's * at the same place.")
                return nil
            }
            return rule
        }
    }
}
