import Identifiers
import NameMatching

/// A list of patterns of names, read in order: a `!` before a pattern leaves out what earlier ones took.
///
/// The last pattern that matches a name decides. A list of only such exceptions takes all other names. `\!` at the
/// start is a literal `!`.
public struct NamePatterns: Equatable, Sendable {
    /// One pattern of the list.
    struct Pattern: Equatable, Sendable {
        let written: Located<String>
        /// The pattern without its `!`.
        let text: String
        let leavesOut: Bool
        let glob: Glob

        init(_ written: Located<String>) {
            self.written = written
            leavesOut = written.value.hasPrefix("!")
            text = leavesOut || written.value.hasPrefix("\\!") ? String(written.value.dropFirst()) : written.value
            glob = Glob(text)
        }
    }

    /// Why a pattern has no effect on a set of names.
    enum Idleness: Equatable {
        /// No name matches it.
        case matchesNothing
        /// It has a `!`, and no earlier pattern takes a name that it matches.
        case leavesNothingOut
    }

    let patterns: [Pattern]
    /// Whether a name that no pattern matches is taken.
    private let takesOthers: Bool

    /// Takes the patterns of a list.
    public init(_ written: [Located<String>]) {
        patterns = written.map(Pattern.init)
        takesOthers = !patterns.isEmpty && patterns.allSatisfy(\.leavesOut)
    }

    /// Whether the list has no pattern, and so takes nothing.
    public var isEmpty: Bool { patterns.isEmpty }

    /// Whether the list takes the name.
    public func takes(_ name: String) -> Bool {
        patterns.last { $0.glob.matches(name) }.map { !$0.leavesOut } ?? takesOthers
    }

    /// The patterns that have no effect on these names, with the reason.
    func idle(among names: some Collection<String>) -> [(pattern: Pattern, reason: Idleness)] {
        let names = Array(names)
        var isTaken = [Bool](repeating: takesOthers, count: names.count)
        return patterns.compactMap { pattern in
            var (matches, leavesOut) = (false, false)
            for (position, name) in names.enumerated() where pattern.glob.matches(name) {
                matches = true
                if isTaken[position] { leavesOut = true }
                isTaken[position] = !pattern.leavesOut
            }
            if !matches { return (pattern, .matchesNothing) }
            return pattern.leavesOut && !leavesOut ? (pattern, .leavesNothingOut) : nil
        }
    }

    /// The problems of patterns without effect, each at its place.
    ///
    /// - Parameters:
    ///   - names: The names that the list chooses from.
    ///   - key: The list's key in the job file.
    ///   - what: What a pattern without a match fails to match: `no tensor of the base`.
    /// - Returns: A problem for each such pattern; the first ones suggest a name.
    public func problems(among names: some Collection<String>, of key: String, matching what: String) -> [JobProblem] {
        lazy var known = names.sorted()
        return idle(among: names).enumerated().map { position, idle in
            let pattern = idle.pattern
            let start = "the pattern \"\(pattern.written.value.excerpt)\" of \"\(key)\""
            switch idle.reason {
            case .matchesNothing:
                let meant = position < JobFileLimits.suggestions ? suggestion(for: pattern.text, among: known) : ""
                return JobProblem(at: pattern.written.location, "\(start) matches \(what).\(meant)")
            case .leavesNothingOut:
                return JobProblem(
                    at: pattern.written.location,
                    "\(start) leaves out nothing: no earlier pattern takes a name that it matches. Write it after the "
                        + "pattern that does, or remove it.")
            }
        }
    }
}
