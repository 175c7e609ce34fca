/// One entry of a model's key `rename`: a name that matches a pattern gets another name.
///
/// `*` is the only wildcard. Each one matches as little text as possible, from left to right; the last one takes the
/// rest. The `*` of the new name stand for these texts, in their order.
public struct RenameRule: Equatable, Sendable {
    /// The pattern.
    public let from: Located<String>
    /// The new name.
    public let to: Located<String>
    private let parts: [String]
    private let newParts: [String]

    /// Combines a pattern with the new name.
    public init(from: Located<String>, to: Located<String>) {
        self.from = from
        self.to = to
        parts = Self.parts(of: from.value)
        newParts = Self.parts(of: to.value)
    }

    private static func parts(of text: String) -> [String] {
        text.split(separator: "*", omittingEmptySubsequences: false).map(String.init)
    }

    /// The numbers of `*` in the pattern and in the new name.
    var starCounts: (from: Int, to: Int) { (parts.count - 1, newParts.count - 1) }

    /// The new name; `nil` if the pattern does not match the whole name, or nothing of the name is left.
    public func newName(of name: String) -> String? {
        guard let texts = texts(of: name), texts.count == newParts.count - 1 else { return nil }
        var new = newParts[0]
        for (text, part) in zip(texts, newParts.dropFirst()) { new += text + part }
        return new.isEmpty ? nil : new
    }

    /// The texts that the `*` match.
    private func texts(of name: String) -> [Substring]? {
        guard parts.count > 1 else { return name == parts[0] ? [] : nil }
        let (first, last) = (parts[0], parts[parts.count - 1])
        guard name.utf8.count >= first.utf8.count + last.utf8.count, name.hasPrefix(first), name.hasSuffix(last) else {
            return nil
        }
        var rest = name.dropFirst(first.count).dropLast(last.count)
        var texts: [Substring] = []
        for part in parts[1..<(parts.count - 1)] {
            if part.isEmpty {
                texts.append(rest.prefix(0))
                continue
            }
            guard let found = rest.firstRange(of: part) else { return nil }
            texts.append(rest[..<found.lowerBound])
            rest = rest[found.upperBound...]
        }
        return texts + [rest]
    }
}
