import Identifiers

/// The entries of `rename` that undo a change of names.
extension NameMapping {
    /// An entry: a pattern and the new name.
    typealias Entry = (from: String, to: String)

    /// The most entries that a sentence proposes.
    private static let entriesMax = 6

    /// The entries that give the names of the second set those of the first; `nil` when no few entries do.
    ///
    /// - Parameter kept: Names of the second set that the first has too, which the entries must not change.
    /// - Returns: The entries, in the order of their application.
    func renameEntries(keeping kept: [String]) -> [Entry]? {
        candidates.first { undoes($0, keeping: kept) }
    }

    /// ` rename: {"module.*": "*"}`, or nothing when no few entries undo the change.
    func proposal(keeping kept: [String]) -> String? {
        renameEntries(keeping: kept).map { entries in
            "rename: {\(entries.map { "\"\($0.from)\": \"\($0.to)\"" }.joined(separator: ", "))}"
        }
    }

    /// Whether entries give all names of the second set those of the first, and keep the others.
    private func undoes(_ entries: [Entry], keeping kept: [String]) -> Bool {
        // A text that needs an escape would not be the exact entry.
        let isPlain = entries.allSatisfy { entry in
            (entry.from + entry.to).unicodeScalars.allSatisfy { $0.value > 31 && $0 != "\"" && $0 != "\\" }
                && entry.from.utf8.count <= 160 && entry.to.utf8.count <= 160
        }
        guard !entries.isEmpty, entries.count <= Self.entriesMax, isPlain else { return false }
        let rules = entries.map { RenameRule(from: Located($0.from, at: ""), to: Located($0.to, at: "")) }
        func renamed(_ name: String) -> String { rules.reduce(name) { $1.newName(of: $0) ?? $0 } }
        return names.allSatisfy { renamed($0.value) == $0.key } && kept.allSatisfy { renamed($0) == $0 }
    }

    /// Lists of entries that may undo the change, the shortest first.
    private var candidates: [[Entry]] {
        switch change {
        case .beginning(let old, let new):
            [[(new + "*", old + "*")], starts(of: names.values.sorted(), after: new).map { (new + $0, old + $0) }]
        case .end(let old, let new): [[("*" + new, "*" + old)]]
        case .part(let old, let new): [[("*.\(new).*", "*.\(old).*")]]
        case .inserted(let parts): [removals(of: parts)]
        case .removed(let part): [insertions(of: part, atStart: true), insertions(of: part, atStart: false)]
        }
    }

    /// The first modules behind a beginning, each as a pattern of all names below it.
    private func starts(of names: [String], after beginning: String) -> [String] {
        var starts: [String] = []
        for name in names where name.hasPrefix(beginning) {
            let rest = name.dropFirst(beginning.count)
            let start = rest.firstIndex(of: ".").map { rest[..<$0] + ".*" } ?? rest
            if starts.last != String(start), starts.count <= Self.entriesMax { starts.append(String(start)) }
        }
        return starts
    }

    /// Entries that remove several modules, one after the other.
    private func removals(of parts: [String]) -> [Entry] {
        var entries: [Entry] = []
        var names = Array(names.values)
        for part in parts {
            let own = Self.removals(of: part, from: names)
            for rule in own.map({ RenameRule(from: Located($0.from, at: ""), to: Located($0.to, at: "")) }) {
                names = names.map { rule.newName(of: $0) ?? $0 }
            }
            entries += own
        }
        return entries
    }

    /// Entries that remove modules wherever they stand: at the start, between, and at the end.
    private static func removals(of part: String, from names: [String]) -> [Entry] {
        var entries: [Entry] = []
        if names.contains(where: { $0.hasPrefix(part + ".") }) { entries.append((part + ".*", "*")) }
        let inner = names.map { name in
            name.split(separator: ".", omittingEmptySubsequences: false).dropFirst().dropLast()
                .joined(separator: ".").occurrences(of: part)
        }
        for count in stride(from: min(inner.max() ?? 0, entriesMax), to: 0, by: -1) {
            let between = String(repeating: "*.\(part).", count: count)
            entries.append((between + "*", String(repeating: "*.", count: count) + "*"))
        }
        if names.contains(where: { $0.hasSuffix("." + part) }) { entries.append(("*." + part, "*")) }
        return entries
    }

    /// Entries that insert modules again, behind the modules before them or before the modules behind them.
    private func insertions(of part: String, atStart: Bool) -> [Entry] {
        var entries: [String: String] = [:]
        for (whole, _) in names {
            guard let found = whole.firstRange(of: ".\(part).") else { return [] }
            let (before, after) = (whole[..<found.lowerBound], whole[found.upperBound...])
            if atStart {
                entries["\(before).*"] = "\(before).\(part).*"
            } else {
                entries["*.\(after)"] = "*.\(part).\(after)"
            }
            guard entries.count <= Self.entriesMax else { return [] }
        }
        return entries.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}

extension String {
    /// The number of times that modules stand in a name, without overlap.
    fileprivate func occurrences(of part: String) -> Int {
        let part = part.split(separator: ".", omittingEmptySubsequences: false)
        var rest = split(separator: ".", omittingEmptySubsequences: false)[...]
        var count = 0
        while !rest.isEmpty {
            if rest.starts(with: part) {
                count += 1
                rest = rest.dropFirst(part.count)
            } else {
                rest = rest.dropFirst()
            }
        }
        return count
    }
}
