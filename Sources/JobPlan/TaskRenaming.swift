public import Identifiers
import NameMatching

/// The renaming of one task's tensors, captured layers and factors, and what it did.
///
/// The entries apply one after the other, each to the names that the earlier ones gave. The names of the task's files
/// then are compared with the base's.
public struct TaskRenaming: Equatable, Sendable {
    /// The named things: they have names of their own, and two of one kind must not share one.
    ///
    /// The raw value is the plural, for messages and reports.
    public enum Kind: String, Sendable, CaseIterable {
        case tensor = "tensors"
        case layer = "layers"
        case parameter = "parameters"
    }

    /// A name that several of a kind would share.
    private struct Collision: Equatable {
        let kind: Kind
        let name: String
        let origins: [String]
    }

    private let task: TaskName
    private let rules: [RenameRule]
    /// Whether a name matched each rule.
    private var isUsed: [Bool]
    /// The names in the files, by kind and new name; only names that changed.
    private var origins: [Kind: [String: String]] = [:]
    private var collisions: [Collision] = []
    /// Names of the files, for suggestions.
    private var known: Set<String> = []

    /// Prepares the entries of a task.
    public init(of task: TaskName, by rules: [RenameRule]) {
        self.task = task
        self.rules = rules
        isUsed = rules.map { _ in false }
    }

    /// The number of names of a kind that changed.
    public func count(of kind: Kind) -> Int { origins[kind]?.count ?? 0 }

    /// The name in the task's file of something that was renamed; `nil` if its name did not change.
    func origin(of name: String, _ kind: Kind) -> String? { origins[kind]?[name] }

    /// Gives all names of a kind their new ones.
    ///
    /// - Returns: The new name by the name in the files. Of several names that would become the same, only the first
    ///   one is there; ``problems`` then names them.
    mutating func newNames(of names: some Sequence<String>, _ kind: Kind) -> [String: String] {
        var (new, old): ([String: String], [String: [String]]) = ([:], [:])
        for name in names.sorted() {
            known.insert(name)
            let result = newName(of: name, kind)
            old[result, default: []].append(name)
            if old[result]?.count == 1 { new[name] = result }
            if result != name { origins[kind, default: [:]][result] = name }
        }
        for (name, origins) in old.sorted(by: { $0.key < $1.key }) where origins.count > 1 {
            collisions.append(Collision(kind: kind, name: name, origins: origins))
        }
        return new
    }

    private mutating func newName(of name: String, _ kind: Kind) -> String {
        // The address of a part of a layer stays at the end, so that patterns of ends fit.
        let address = kind == .layer ? Self.address(in: name) : ""
        var new = String(name.dropLast(address.count))
        for (position, rule) in rules.enumerated() {
            guard let next = rule.newName(of: new) else { continue }
            isUsed[position] = true
            new = next
        }
        return new + address
    }

    /// The address at the end of a layer's name: `[2]`, `[0:64]` or both.
    private static func address(in name: String) -> Substring {
        var rest = name[...]
        while rest.last == "]", let start = rest.lastIndex(of: "[") {
            let numbers = rest[rest.index(after: start)...].dropLast().split(
                separator: ":", omittingEmptySubsequences: false)
            let isAddress =
                numbers.count <= 2 && numbers.allSatisfy { !$0.isEmpty && $0.allSatisfy("0123456789".contains) }
            guard isAddress else { break }
            rest = rest[..<start]
        }
        return name[rest.endIndex...]
    }

    // MARK: - What is wrong

    /// Problems of the entries themselves: patterns that match nothing, and names that two would share.
    var problems: [JobProblem] {
        var problems: [JobProblem] = []
        lazy var known = self.known.sorted()
        let unused = zip(rules, isUsed).filter { !$1 }.map(\.0)
        for (position, rule) in unused.enumerated() {
            let meant =
                position < JobFileLimits.suggestions ? suggestion(for: rule.from.value, among: known) : ""
            problems.append(
                JobProblem(
                    at: rule.from.location,
                    "the pattern \"\(rule.from.value.excerpt)\" of \"rename\" matches none of the \(self.known.count) names of "
                        + "task \"\(task)\" (tensors, layers and parameters), after the entries before it.\(meant)"))
        }
        for kind in Kind.allCases {
            let shared = collisions.filter { $0.kind == kind }
            guard let first = shared.first else { continue }
            let more = shared.count > 1 ? ", and likewise \(shared.count - 1) more" : ""
            problems.append(
                JobProblem(
                    at: rules[0].from.location,
                    "\"rename\" of task \"\(task)\" gives \(first.origins.count) \(kind.rawValue) the name "
                        + "\"\(first.name.excerpt)\": \(first.origins.quotedList)\(more). Narrow the pattern, so that each "
                        + "has a name of its own."))
        }
        return problems
    }

    /// The problem of new names that the base lacks; `nil` without any.
    ///
    /// - Parameters:
    ///   - names: The new names that the base lacks.
    ///   - kind: Their kind.
    ///   - consequence: A sentence about what else follows, with its space before it, or nothing.
    /// - Returns: One problem for all of the names.
    func problem(ofNames names: [String], _ kind: Kind, consequence: String = "") -> JobProblem? {
        guard let first = names.first, let origin = origin(of: first, kind), let rule = rules.first else { return nil }
        let others = names.dropFirst()
        let more = others.isEmpty ? "" : " Others are \(Array(others).quotedList)."
        return JobProblem(
            at: rule.from.location,
            "\"rename\" of task \"\(task)\" gives \(names.count) of its \(kind.rawValue) names that the base lacks: "
                + "\"\(origin.excerpt)\" becomes \"\(first.excerpt)\".\(more)\(consequence) Correct the entries, or leave "
                + "these names out (\"!\" before a pattern of \"layers\", or \"ignore\" for tensors).")
    }

    /// A notice of the number of names that changed.
    var notice: JobNotice? {
        let counts = Kind.allCases.map { (count(of: $0), $0.rawValue) }.filter { $0.0 > 0 }
        guard !counts.isEmpty, let rule = rules.first else { return nil }
        let list = counts.map { "\($0.0) of \($0.1)" }.joined(separator: ", ")
        return JobNotice(at: rule.from.location, "\"rename\" of task \"\(task)\" changed names: \(list).")
    }
}
