import Yams

/// The documents of a job file: the job, and optionally others that add some keys to it, one after the other.
///
/// A program adds keys in this way without a change of the first document, so that all its lines keep their numbers.
enum JobDocuments {
    /// The most documents: a user's second one, and one of a program.
    private static let documentsMax = 3
    /// The keys that a further document may have; another one is more likely a second job.
    private static let addedKeys: Set<String> = ["checkpoint", "parameters", "outputs", "kfac"]

    /// The job of a text with one to three documents; `nil` for an empty text.
    ///
    /// - Throws: `YamlError` for a text that is not YAML or that has more documents.
    static func job(in yaml: String) throws -> Node? {
        let documents = try all(in: yaml)
        guard documents.count > 1 else { return documents.first }
        // The parser's own error names the place of a further document.
        let additions = documents.dropFirst()
        guard documents.count <= documentsMax, additions.allSatisfy(isAddition) else {
            return try Yams.compose(yaml: yaml)
        }
        return additions.reduce(documents[0], joined)
    }

    private static func isAddition(_ document: Node) -> Bool {
        guard let added = document.mapping else { return false }
        return added.keys.allSatisfy { $0.scalar.map { addedKeys.contains($0.string) } ?? false }
    }

    /// The first document as it is written; the whole text if it has one document.
    static func first(of yaml: String) -> String {
        guard let documents = try? all(in: yaml), documents.count > 1, let line = documents[1].mark?.line else {
            return yaml
        }
        let lines = yaml.split(separator: "\n", omittingEmptySubsequences: false)
        guard let end = lines.prefix(line).lastIndex(where: { $0.hasPrefix("---") }) else { return yaml }
        return lines[..<end].joined(separator: "\n") + "\n"
    }

    private static func all(in yaml: String) throws -> [Node] {
        var sequence = try Yams.compose_all(yaml: yaml)
        var documents: [Node] = []
        while let document = sequence.next() { documents.append(document) }
        if let error = sequence.error { throw error }
        return documents
    }

    /// Joins mappings key by key; another value of the second document replaces that of the first, and null removes it.
    private static func joined(_ first: Node, _ second: Node) -> Node {
        guard case .mapping(let added) = second else { return second }
        var own = first.mapping ?? [:]
        for (key, value) in added {
            own[key] = value.scalar.map { YAMLScalar($0) } == .null ? nil : joined(own[key] ?? value, value)
        }
        return .mapping(own)
    }
}

extension JobSpec {
    /// The job file's text without a second document, which a program has added.
    public static func source(of yaml: String) -> String { JobDocuments.first(of: yaml) }
}
