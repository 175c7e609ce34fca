import Identifiers

/// One change that turns the names of a set into those of another: at the start, at the end, or of modules between.
///
/// Wrappers of a model (data parallelism, compilation, adapters) and other library versions change all names in the
/// same way. A list of all differences would hide this cause.
struct NameMapping: Equatable {
    /// A kind of change.
    enum Change: Equatable {
        /// The second text replaces the first at the start of names.
        case beginning(String, String)
        /// The second text replaces the first at the end of names.
        case end(String, String)
        /// The second modules replace the first, once in each name.
        case part(String, String)
        /// The names of the second set contain one or more of these modules in addition, at any place.
        case inserted([String])
        /// The names of the first set contain these modules in addition, at any place.
        case removed(String)
    }

    /// The change.
    let change: Change
    /// Names of the second set by those of the first.
    let names: [String: String]

    /// The number of names from which changes are guessed.
    private static let samples = 6
    /// The number of changes that are tested on all names.
    private static let candidates = 12

    /// Finds the change that explains the most names, if it explains nearly all of the smaller set.
    ///
    /// - Parameters:
    ///   - first: Names that only the first set has.
    ///   - second: Names that only the second set has.
    init?(from first: [String], to second: [String]) {
        guard first.count > 1, second.count > 1 else { return nil }
        var best: (change: Change, names: [String: String])?
        for change in Self.guesses(first.sorted(), second) {
            let names = Self.apply(change, first, second)
            if names.count > best?.names.count ?? 0 { best = (change, names) }
        }
        // The few other names have another cause and are reported separately.
        guard let best, best.names.count >= 2, 5 * best.names.count >= 4 * min(first.count, second.count) else {
            return nil
        }
        (change, names) = best
    }

    // MARK: - Guessing

    private static func guesses(_ first: [String], _ second: [String]) -> [Change] {
        let step = max(1, first.count / samples)
        let found = second.map { $0.split(separator: ".", omittingEmptySubsequences: false) }
        var votes: [(change: Change, count: Int)] = []
        for sample in stride(from: 0, to: first.count, by: step).map({ first[$0] }) {
            let components = sample.split(separator: ".", omittingEmptySubsequences: false)
            // The names that share most with the sample show how it changed.
            let shared = found.map { sharedEnds($0, components) }
            let most = shared.map { $0.start + $0.end }.max() ?? 0
            // A sample that shares its ends with many names was removed, not renamed, so it shows nothing.
            guard most > 0, shared.count(where: { $0.start + $0.end == most }) <= 8 else { continue }
            for (name, ends) in zip(found, shared) where ends.start + ends.end == most {
                for change in changes(components, name, ends) {
                    if let known = votes.firstIndex(where: { $0.change == change }) {
                        votes[known].count += 1
                    } else {
                        votes.append((change, 1))
                    }
                }
            }
        }
        return votes.sorted { $0.count > $1.count }.prefix(candidates).map(\.change) + wrappings(of: second)
    }

    /// Several known wrappers together, as PEFT has one for the model and others for some of its layers.
    private static func wrappings(of names: [String]) -> [Change] {
        let modules = ModelWrapper.distinct.map(\.rawValue).filter { module in
            names.contains { $0.hasPrefix("\(module).") || $0.hasSuffix(".\(module)") || $0.contains(".\(module).") }
        }
        return modules.count > 1 ? [.inserted(modules)] : []
    }

    private static func sharedEnds(_ name: [Substring], _ other: [Substring]) -> (start: Int, end: Int) {
        let limit = min(name.count, other.count)
        var start = 0
        while start < limit, name[start] == other[start] { start += 1 }
        var end = 0
        while end < limit - start, name[name.count - 1 - end] == other[other.count - 1 - end] { end += 1 }
        return (start, end)
    }

    private static func changes(_ old: [Substring], _ new: [Substring], _ ends: (start: Int, end: Int)) -> [Change] {
        func text(_ components: some Sequence<Substring>) -> String { components.joined(separator: ".") }
        let before = old[ends.start..<(old.count - ends.end)]
        let after = new[ends.start..<(new.count - ends.end)]
        var changes: [Change] = []
        if ends.start == 0 {
            changes.append(.beginning(before.isEmpty ? "" : text(before) + ".", after.isEmpty ? "" : text(after) + "."))
        }
        if ends.end == 0 {
            changes.append(.end(before.isEmpty ? "" : "." + text(before), after.isEmpty ? "" : "." + text(after)))
        }
        // Modules that are repeated at the start, as in model.model.
        if new.count > old.count, new.suffix(old.count) == old[...] {
            changes.append(.beginning("", text(new.dropLast(old.count)) + "."))
        }
        if old.count > new.count, old.suffix(new.count) == new[...] {
            changes.append(.beginning(text(old.dropLast(new.count)) + ".", ""))
        }
        if before.isEmpty { changes.append(.inserted([text(after)])) }
        if after.isEmpty { changes.append(.removed(text(before))) }
        if !before.isEmpty, !after.isEmpty { changes.append(.part(text(before), text(after))) }
        return changes
    }

    // MARK: - Applying

    private static func apply(_ change: Change, _ first: [String], _ second: [String]) -> [String: String] {
        let known = Set(second)
        switch change {
        case .inserted(let parts):
            let plain = Dictionary(
                second.map { name in (parts.reduce(name) { removing($1, from: $0) }, name) },
                uniquingKeysWith: { name, _ in name })
            return pairs(first) { plain[$0] }
        case .removed(let part): return pairs(first) { known.contains(removing(part, from: $0), or: $0) }
        case .beginning(let old, let new):
            return pairs(first) { $0.hasPrefix(old) ? known.contains(new + $0.dropFirst(old.count), or: $0) : nil }
        case .end(let old, let new):
            return pairs(first) { $0.hasSuffix(old) ? known.contains($0.dropLast(old.count) + new, or: $0) : nil }
        case .part(let old, let new): return pairs(first) { known.contains(replacing(old, new, in: $0), or: $0) }
        }
    }

    private static func pairs(_ names: [String], _ other: (String) -> String?) -> [String: String] {
        var pairs: [String: String] = [:]
        for name in names {
            if let found = other(name) { pairs[name] = found }
        }
        return pairs
    }

    /// A name without some modules, at any place.
    private static func removing(_ part: String, from name: String) -> String {
        let part = part.split(separator: ".", omittingEmptySubsequences: false)
        var rest = name.split(separator: ".", omittingEmptySubsequences: false)[...]
        var kept: [Substring] = []
        while !rest.isEmpty {
            if rest.starts(with: part) { rest = rest.dropFirst(part.count) } else { kept.append(rest.removeFirst()) }
        }
        return kept.joined(separator: ".")
    }

    /// A name with the first occurrence of some modules replaced by others.
    private static func replacing(_ old: String, _ new: String, in name: String) -> String {
        let old = old.split(separator: ".", omittingEmptySubsequences: false)
        let components = name.split(separator: ".", omittingEmptySubsequences: false)
        guard let start = components.indices.first(where: { components[$0...].starts(with: old) }) else { return name }
        return (components[..<start] + [new[...]] + components[(start + old.count)...]).joined(separator: ".")
    }
}

extension Set<String> {
    /// The name, if the set contains it and it is not the other one.
    fileprivate func contains(_ name: String, or other: String) -> String? {
        name != other && contains(name) ? name : nil
    }
}
