import Identifiers
import NameMatching
import Yams

/// Turns the nodes of a job file into values, and collects problems with their lines.
struct JobFileReader {
    let fileName: String
    /// The path of an output directory that replaces the file's own.
    let output: String?
    private var problems: [JobProblem] = []
    /// The notices found in the file.
    private(set) var notices: [JobNotice] = []
    private var furtherProblems = 0

    init(fileName: String, output: String? = nil) {
        self.fileName = fileName
        self.output = output
    }

    /// `job.yaml:line:column` of a node.
    func location(of node: Node) -> String {
        node.mark.map { "\(fileName):\($0)" } ?? fileName
    }

    /// The recorded problems, and the number of further ones.
    var allProblems: [JobProblem] {
        guard furtherProblems > 0 else { return problems }
        return problems + [JobProblem(at: fileName, "there are \(furtherProblems) more problems.")]
    }

    /// Records a problem at a node.
    ///
    /// Its sentence is made only when it will be shown.
    mutating func report(_ node: Node, _ message: @autoclosure () -> String) {
        report(at: location(of: node), message())
    }

    /// Records a problem.
    mutating func report(at location: String, _ message: @autoclosure () -> String) {
        guard problems.count < JobFileLimits.problems else {
            furtherProblems += 1
            return
        }
        problems.append(JobProblem(at: location, message()))
    }

    /// Reads a mapping's entries; unknown keys are reported with the nearest known one.
    ///
    /// - Parameters:
    ///   - node: The mapping.
    ///   - what: The thing that the mapping describes, for messages: `a model entry`.
    ///   - keys: The accepted keys.
    ///   - unsupported: mergekit's keys that are refused by name, each with a remedy.
    ///   - nullable: mergekit's keys for which null means absent.
    ///   - ineffective: mergekit's keys that have no effect, here as there; they become notices.
    /// - Returns: The entries by key.
    mutating func entries(
        _ node: Node, of what: String, keys: [String], unsupported: [String: String] = [:],
        nullable: Set<String> = [], ineffective: Set<String> = []
    ) -> [String: Node] {
        guard case .mapping(let mapping) = node else {
            report(node, "\(what) must be a mapping of keys to values.")
            return [:]
        }
        var entries: [String: Node] = [:]
        for (keyNode, value) in merged(mapping, of: what) {
            guard case .scalar(let key) = keyNode else {
                report(keyNode, "a key of \(what) must be a plain word.")
                continue
            }
            if keys.contains(key.string) {
                if !isNull(value) || !nullable.contains(key.string) { entries[key.string] = value }
            } else if ineffective.contains(key.string) {
                notices.append(
                    JobNotice(
                        at: location(of: keyNode),
                        "\"\(key.string)\" has no effect in \(what), as in mergekit. Remove it."))
            } else if let advice = unsupported[key.string] {
                // mergekit treats the key as absent, and so do we.
                if isNull(value) || value.sequence?.isEmpty ?? value.mapping?.isEmpty ?? false { continue }
                report(keyNode, "\"\(key.string)\" is not supported in \(what). \(advice)")
            } else {
                report(
                    keyNode,
                    "unknown key \"\(key.string.excerpt)\" in \(what).\(suggestion(for: key.string, among: keys)) "
                        + "Known keys: \(keys.joined(separator: ", ")).")
            }
        }
        return entries
    }

    /// The pairs of a mapping and those of its merge keys (`<<: *other`); its own pairs take precedence.
    ///
    /// Source: yaml.org/type/merge.
    private mutating func merged(_ mapping: Node.Mapping, of what: String) -> [(key: Node, value: Node)] {
        var own: [(key: Node, value: Node)] = []
        var inherited: [(key: Node, value: Node)] = []
        for (key, value) in mapping {
            guard case .scalar(let scalar) = key, scalar.style == .plain, scalar.string == "<<" else {
                own.append((key, value))
                continue
            }
            for source in value.sequence.map(Array.init) ?? [value] {
                guard case .mapping(let other) = source else {
                    report(source, "a merge key (\"<<\") in \(what) must name a mapping, or a list of mappings.")
                    continue
                }
                inherited += merged(other, of: what)
            }
        }
        guard !inherited.isEmpty else { return own }
        var seen = Set(own.compactMap(\.key.scalar?.string))
        return own + inherited.filter { pair in pair.key.scalar.map { seen.insert($0.string).inserted } ?? true }
    }

    /// Whether the node is null: `null`, `~` or empty.
    func isNull(_ node: Node) -> Bool {
        guard case .scalar(let scalar) = node else { return false }
        return YAMLScalar(scalar) == .null
    }

    /// A non-empty text.
    mutating func text(_ node: Node, _ key: String) -> Located<String>? {
        if case .scalar(let scalar) = node, "\(scalar.tag)".hasPrefix("!"), "\(scalar.tag)" != "!" {
            let written = "\(scalar.tag)" + (scalar.string.isEmpty ? "" : " \(scalar.string)")
            report(
                node,
                "\"\(key)\" holds \(written.excerpt), which YAML reads as a tag because of its \"!\". Write it in quotes: "
                    + "\"\(written.excerpt)\".")
            return nil
        }
        guard case .scalar(let scalar) = node, !scalar.string.isEmpty, !isNull(node) else {
            report(node, "\"\(key)\" must be a text that is not empty.")
            return nil
        }
        return Located(scalar.string, at: location(of: node))
    }

    /// One text, or a non-empty list of texts.
    mutating func texts(_ node: Node, _ key: String) -> [Located<String>] {
        guard case .sequence(let items) = node else { return text(node, key).map { [$0] } ?? [] }
        if items.isEmpty { report(node, "\"\(key)\" must not be an empty list. Leave the key out instead.") }
        return items.compactMap { text($0, key) }
    }

    /// A finite number.
    mutating func number(_ node: Node, _ key: String) -> Double? {
        guard let value = finiteNumber(node) else {
            report(node, "\"\(key)\" must be a finite number.")
            return nil
        }
        checkNotation(of: node, key)
        return value
    }

    /// Refuses YAML 1.1 notations that are hardly ever meant: `017` is 15, and `1:30` is 90.
    private mutating func checkNotation(of node: Node, _ key: String) {
        guard case .scalar(let scalar) = node, case .foreignNumber(let value) = YAMLScalar(scalar) else { return }
        let meant = value.rounded() == value && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
        report(
            node,
            "\"\(key)\" is \(scalar.string.excerpt), which YAML 1.1 reads as \(meant). Write \(meant), or the decimal "
                + "number that you mean.")
    }

    /// A whole number of at least 1.
    mutating func count(_ node: Node, _ key: String) -> Located<Int>? {
        guard case .scalar(let scalar) = node, case .number(let number) = YAMLScalar(scalar),
            let value = Int(exactly: number), value >= 1
        else {
            report(node, "\"\(key)\" must be a whole number of at least 1.")
            return nil
        }
        return Located(value, at: location(of: node))
    }

    /// `true` or `false`, also as YAML 1.1's other words (`yes`, `off`) and as 1 and 0.
    mutating func truth(_ node: Node, _ key: String) -> Bool? {
        guard case .scalar(let scalar) = node, let value = YAMLScalar(scalar).truth else {
            report(node, "\"\(key)\" must be true or false.")
            return nil
        }
        return value
    }

    /// One of an enumeration's words.
    mutating func word<Word>(_ node: Node, _ key: String, as type: Word.Type = Word.self) -> Word?
    where Word: RawRepresentable<String> & CaseIterable {
        word(node, key, among: Word.allCases.map(\.rawValue), Word.init(rawValue:))
    }

    /// Reads a word that stands for a value; messages list the same words.
    mutating func word<Value>(
        _ node: Node, _ key: String, among words: [String], _ value: (String) -> Value?
    ) -> Value? {
        guard case .scalar(let scalar) = node, let value = value(scalar.string) else {
            let written = node.scalar?.string ?? ""
            report(
                node,
                "\"\(key)\" must be one of \(words.joined(separator: ", ")), not \"\(written.excerpt)\"."
                    + suggestion(for: written, among: words))
            return nil
        }
        return value
    }

    /// A truth value in mergekit's grammar: one value, or filtered values.
    mutating func truthSetting(_ node: Node, _ key: String) -> ParameterSetting? {
        guard case .sequence = node else { return truth(node, key).map { .scalar($0 ? 1 : 0) } }
        return setting(node, key)
    }

    /// A parameter in mergekit's value grammar.
    mutating func setting(_ node: Node, _ key: String) -> ParameterSetting? {
        guard case .sequence(let items) = node, case .mapping = items.first else {
            return numbers(node, key, expected: "a number, a list of numbers, or a list of {filter, value}")
        }
        return .filtered(
            items.map { item in
                let entries = entries(item, of: "a filtered \"\(key)\"", keys: ["filter", "value"])
                if entries["value"] == nil, case .mapping = item {
                    report(
                        item,
                        "a filtered \"\(key)\" needs \"value\": a number, a list of numbers, or null for that of the next "
                            + "level.")
                }
                return ParameterSetting.Filtered(
                    filter: entries["filter"].flatMap { isNull($0) ? nil : text($0, "filter")?.value },
                    // The grammar has no nested filters, and with YAML's aliases they could grow without end.
                    value: entries["value"].flatMap {
                        isNull($0) ? nil : numbers($0, key, expected: "a number or a list of numbers")
                    })
            })
    }

    private mutating func numbers(_ node: Node, _ key: String, expected: String) -> ParameterSetting? {
        if let value = finiteNumber(node) {
            checkNotation(of: node, key)
            return .scalar(value)
        }
        guard case .sequence(let items) = node, !items.isEmpty else {
            report(node, "\"\(key)\" must be \(expected).")
            return nil
        }
        let values = items.compactMap { number($0, key) }
        return values.count == items.count ? .gradient(values) : nil
    }

    private func finiteNumber(_ node: Node) -> Double? {
        guard case .scalar(let scalar) = node else { return nil }
        return YAMLScalar(scalar).number
    }
}
