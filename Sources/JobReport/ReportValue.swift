import JSONText

/// Reads the parts of a report; a part of another kind counts as missing.
extension JSONValue {
    /// The number, if the value is one.
    var number: Double? {
        guard case .number(let digits) = self else { return nil }
        return Double(digits)
    }

    /// The whole number, if the value is one.
    var wholeNumber: Int? { number.flatMap { Int(exactly: $0) } }

    /// The elements of a list; none of another value.
    var elements: [JSONValue] {
        guard case .array(let elements) = self else { return [] }
        return elements
    }

    /// The strings of a list.
    var strings: [String] { elements.compactMap(\.stringValue) }

    /// The numbers of a list; NaN for what is no number.
    var numbers: [Double] { elements.map { $0.number ?? .nan } }

    /// The members of an object; none of another value.
    var entries: [Member] { members ?? [] }

    /// The value in words, for a list of settings.
    var words: String {
        switch self {
        case .null: "–"
        case .bool(let truth): truth ? "yes" : "no"
        case .number(let digits): Double(digits).map(NumberWords.exact) ?? digits
        case .string(let text): text.shownName
        case .array(let elements): elements.isEmpty ? "none" : elements.map(\.words).joinedForReading(limit: 10)
        case .object(let members):
            members.map { "\($0.key.shownName): \($0.value.words)" }.joinedForReading(limit: 10)
        }
    }
}
