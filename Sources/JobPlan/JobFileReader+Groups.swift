import Yams

/// The key `groups` under `kfac`.
extension JobFileReader {
    /// Reads `groups`: a list of patterns with a strength.
    mutating func readGroups(_ node: Node) -> [PenaltyGroup] {
        guard case .sequence(let items) = node, !items.isEmpty else {
            report(node, "\"groups\" must be a list of at least one mapping {layers, strength}.")
            return []
        }
        return items.compactMap { readGroup($0) }
    }

    private mutating func readGroup(_ node: Node) -> PenaltyGroup? {
        let entries = entries(node, of: "a group", keys: ["layers", "strength"])
        guard node.mapping != nil else { return nil }
        guard let layers = entries["layers"], let written = entries["strength"] else {
            report(node, "a group needs \"layers\" and \"strength\"; it has only one of them, or none.")
            return nil
        }
        let patterns = texts(layers, "layers")
        guard let strength = number(written, "strength") else { return nil }
        guard strength >= 0, strength <= Double(Float.greatestFiniteMagnitude) else {
            report(written, "the strength is \(strength); expected a number of at least 0 that fp32 can hold.")
            return nil
        }
        return patterns.isEmpty
            ? nil : PenaltyGroup(layers: NamePatterns(patterns), strength: strength, location: location(of: node))
    }
}
