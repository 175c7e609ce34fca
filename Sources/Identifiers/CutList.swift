/// A list of sentences for a person, cut to the first of each kind and a count of the rest.
///
/// Two sentences are of one kind when they differ only in quoted text, numbers and paths. Every list without a bound of
/// its own is cut here before it is shown or sent: problems, errors of a file, names.
///
/// Source: DESIGN section 1.
public struct CutList<Element: Sendable>: Sendable {
    /// The most sentences of one kind that are shown.
    public static var shownOfKindMax: Int { 100 }
    /// The most kinds that are shown; sentences of further kinds are only counted.
    public static var kindsMax: Int { 100 }
    /// The most bytes of all sentences together, so that a message that holds them can always be sent.
    public static var byteCountMax: Int { 256 << 10 }

    /// The shown elements in order, each with the number of its kind.
    private var shown: [(element: Element, kind: Int)] = []
    private var kinds: [Int: Count] = [:]
    private var byteCount = 0
    private var others = 0

    /// The number of sentences of a kind.
    private struct Count: Sendable {
        var shown = 0
        var all = 0
    }

    /// An empty list.
    public init() {}

    /// Cuts a list.
    ///
    /// - Parameters:
    ///   - elements: The list. Elements that are not shown are released at once.
    ///   - text: An element's sentence.
    public init(_ elements: some Sequence<Element>, text: (Element) -> String) {
        for element in elements { append(element, text: text(element)) }
    }

    /// Adds an element.
    ///
    /// - Parameters:
    ///   - element: The element.
    ///   - text: Its sentence, which determines its kind.
    public mutating func append(_ element: Element, text: String) {
        let kind = text.kindOfSentence
        guard kinds[kind] != nil || kinds.count < Self.kindsMax else {
            others += 1
            return
        }
        kinds[kind, default: Count()].all += 1
        guard kinds[kind]?.shown ?? 0 < Self.shownOfKindMax, byteCount < Self.byteCountMax else { return }
        kinds[kind]?.shown += 1
        byteCount += text.utf8.count
        shown.append((element, kind))
    }

    /// The shown elements.
    ///
    /// When more of a kind came, a sentence with their number follows the last shown one.
    ///
    /// - Parameter more: Makes that sentence from its words and the element before it.
    /// - Returns: The list for a person.
    public func elements(more: (_ words: String, _ last: Element?) -> Element) -> [Element] {
        var result: [Element] = []
        result.reserveCapacity(shown.count + kinds.count + 1)
        var left = kinds.mapValues(\.shown)
        for (element, kind) in shown {
            result.append(element)
            left[kind, default: 0] -= 1
            guard left[kind] == 0, let count = kinds[kind], count.all > count.shown else { continue }
            result.append(more("and \(count.all - count.shown) more of this kind.", element))
        }
        let unseen = others + kinds.values.reduce(0) { $0 + ($1.shown == 0 ? $1.all : 0) }
        if unseen > 0 { result.append(more("and \(unseen) more of other kinds.", shown.last?.element)) }
        return result
    }
}

extension Sequence<String> where Self: Sendable {
    /// The sentences as lines, cut by ``CutList``.
    public var cutLines: String {
        CutList(self) { $0 }.elements { words, _ in words }.joined(separator: "\n")
    }
}

extension Collection<String> {
    /// The first names in one line, separated by commas, and the number of the rest.
    ///
    /// - Parameter limit: Most names that are shown.
    /// - Returns: `a, b and 3 more`.
    public func listed(limit: Int = 100) -> String {
        let names = prefix(limit).map(\.excerpt).joined(separator: ", ")
        return count > limit ? "\(names) and \(count - limit) more" : names
    }
}

extension String {
    /// Most scalars of a message of several lines.
    private static let messageScalarsMax = 8000

    /// A message of any length as it is stored, logged and sent: every line is a ``sentence``, and the list of lines is
    /// cut.
    public var cutMessage: String {
        let lines = split(whereSeparator: \.isNewline).lazy.map(\.sentence).cutLines
        guard lines.utf8.count > Self.messageScalarsMax else { return lines }
        var start = ""
        for scalar in lines.unicodeScalars.prefix(Self.messageScalarsMax) { start.unicodeScalars.append(scalar) }
        return start + "…"
    }

    /// A hash that is the same for all sentences of a kind: it covers the words without digits or slashes, and skips
    /// quoted text.
    var kindOfSentence: Int {
        var hash = Hasher()
        var word = Hasher()
        var (isQuoted, isName) = (false, false)
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "\""): isQuoted.toggle()
            case _ where isQuoted: break
            case UInt8(ascii: " "), UInt8(ascii: ","), UInt8(ascii: "["), UInt8(ascii: "]"):
                if !isName { hash.combine(word.finalize()) }
                (word, isName) = (Hasher(), false)
            case UInt8(ascii: "/"), UInt8(ascii: "0")...UInt8(ascii: "9"): isName = true
            default: word.combine(byte)
            }
        }
        if !isName { hash.combine(word.finalize()) }
        return hash.finalize()
    }
}
