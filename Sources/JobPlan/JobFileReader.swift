import Identifiers
import Spelling
import Yams

/// Turns the nodes of a job file into values, collecting what is wrong with its line.
struct JobFileReader {
    let fileName: String
    /// Path of an output directory in place of the file's own.
    let output: String?
    private var problems: [JobProblem] = []
    private var furtherProblems = 0

    init(fileName: String, output: String? = nil) {
        self.fileName = fileName
        self.output = output
    }

    /// `job.yaml:line:column` of a node.
    func location(of node: Node) -> String {
        node.mark.map { "\(fileName):\($0)" } ?? fileName
    }

    /// The problems that were noted, and how many more there are.
    var allProblems: [JobProblem] {
        guard furtherProblems > 0 else { return problems }
        return problems + [JobProblem(at: fileName, "there are \(furtherProblems) more problems.")]
    }

    /// Notes a problem at a node; its sentence is made only when it will be read.
    mutating func report(_ node: Node, _ message: @autoclosure () -> String) {
        report(at: location(of: node), message())
    }

    /// Notes a problem.
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
    ///   - what: What the mapping describes, for messages: `a model entry`.
    ///   - keys: The keys that are understood.
    ///   - unsupported: Keys of mergekit that are refused by name, with what to do instead.
    /// - Returns: The entries by key.
    mutating func entries(
        _ node: Node, of what: String, keys: [String], unsupported: [String: String] = [:]
    ) -> [String: Node] {
        guard case .mapping(let mapping) = node else {
            report(node, "\(what) must be a mapping of keys to values.")
            return [:]
        }
        var entries: [String: Node] = [:]
        for (keyNode, value) in mapping {
            guard case .scalar(let key) = keyNode else {
                report(keyNode, "a key of \(what) must be a plain word.")
                continue
            }
            if keys.contains(key.string) {
                entries[key.string] = value
            } else if let advice = unsupported[key.string] {
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

    /// Whether the node says nothing: `null`, `~` or empty.
    func isNull(_ node: Node) -> Bool {
        guard case .scalar(let scalar) = node else { return false }
        return scalar.style == .plain && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    /// A text that is not empty.
    mutating func text(_ node: Node, _ key: String) -> Located<String>? {
        guard case .scalar(let scalar) = node, !scalar.string.isEmpty, !isNull(node) else {
            report(node, "\"\(key)\" must be a text that is not empty.")
            return nil
        }
        return Located(scalar.string, at: location(of: node))
    }

    /// One text, or a list of at least one text.
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
        return value
    }

    /// A whole number of at least 1.
    mutating func count(_ node: Node, _ key: String) -> Located<Int>? {
        guard case .scalar(let scalar) = node, let value = Int(scalar.string), value >= 1 else {
            report(node, "\"\(key)\" must be a whole number of at least 1.")
            return nil
        }
        return Located(value, at: location(of: node))
    }

    /// `true` or `false`.
    mutating func truth(_ node: Node, _ key: String) -> Bool? {
        guard case .scalar(let scalar) = node, let value = ["true": true, "false": false][scalar.string.lowercased()]
        else {
            report(node, "\"\(key)\" must be true or false.")
            return nil
        }
        return value
    }

    /// One of an enumeration's words.
    mutating func word<Word>(
        _ node: Node, _ key: String, as type: Word.Type = Word.self, aliases: [String: String] = [:]
    ) -> Word?
    where Word: RawRepresentable<String> & CaseIterable {
        let words = Word.allCases.map(\.rawValue)
        guard case .scalar(let scalar) = node, let value = Word(rawValue: aliases[scalar.string] ?? scalar.string)
        else {
            let written = node.scalar?.string ?? ""
            report(
                node,
                "\"\(key)\" must be one of \(words.joined(separator: ", ")), not \"\(written.excerpt)\"."
                    + suggestion(for: written, among: words))
            return nil
        }
        return value
    }

    /// A parameter in mergekit's value grammar.
    mutating func setting(_ node: Node, _ key: String) -> ParameterSetting? {
        guard case .sequence(let items) = node, case .mapping = items.first else {
            return numbers(node, key, expected: "a number, a list of numbers, or a list of {filter, value}")
        }
        return .filtered(
            items.map { item in
                let entries = entries(item, of: "a filtered \"\(key)\"", keys: ["filter", "value"])
                return ParameterSetting.Filtered(
                    filter: entries["filter"].flatMap { isNull($0) ? nil : text($0, "filter")?.value },
                    // Filters within filters are not in the grammar; with YAML's aliases they could grow without end.
                    value: entries["value"].flatMap {
                        isNull($0) ? nil : numbers($0, key, expected: "a number or a list of numbers")
                    })
            })
    }

    private mutating func numbers(_ node: Node, _ key: String, expected: String) -> ParameterSetting? {
        if let value = finiteNumber(node) { return .scalar(value) }
        guard case .sequence(let items) = node, !items.isEmpty else {
            report(node, "\"\(key)\" must be \(expected).")
            return nil
        }
        let values = items.compactMap { number($0, key) }
        return values.count == items.count ? .gradient(values) : nil
    }

    private func finiteNumber(_ node: Node) -> Double? {
        guard case .scalar(let scalar) = node, let value = Double(scalar.string), value.isFinite else { return nil }
        return value
    }
}
