/// A list of sentences for a person, cut: the first of each kind, and how many there are besides.
///
/// Two sentences are of one kind when they differ only in what is quoted, in numbers and in paths. Every list that has
/// no bound of its own goes through here before it is shown or sent: problems, errors of a file, names.
///
/// Source: DESIGN section 1.
public struct CutList<Element: Sendable>: Sendable {
    /// Most sentences of a kind that are shown.
    public static var shownOfKindMax: Int { 100 }
    /// Most kinds; what is of a further kind is only counted.
    public static var kindsMax: Int { 100 }
    /// Most bytes of all sentences together: a message that holds them is always small enough to be sent.
    public static var byteCountMax: Int { 256 << 10 }

    /// What is shown, in order, each with the number of its kind.
    private var shown: [(element: Element, kind: Int)] = []
    private var kinds: [Int: Count] = [:]
    private var byteCount = 0
    private var others = 0

    /// How often a kind came.
    private struct Count: Sendable {
        var shown = 0
        var all = 0
    }

    /// An empty list.
    public init() {}

    /// Cuts a list.
    ///
    /// - Parameters:
    ///   - elements: The list; an element that is not shown is let go at once.
    ///   - text: An element's sentence.
    public init(_ elements: some Sequence<Element>, text: (Element) -> String) {
        for element in elements { append(element, text: text(element)) }
    }

    /// Adds an element.
    ///
    /// - Parameters:
    ///   - element: The element.
    ///   - text: Its sentence, which tells its kind.
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

    /// What is shown; the last of each kind of which more came is followed by a sentence that says how many.
    ///
    /// - Parameter more: Makes that sentence, from the words and from the element before it.
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
    /// The names in one line, separated by commas: the first of them, then how many there are besides.
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

    /// A message of any length and any number of lines as it is kept, logged and sent: every line a ``sentence``, the
    /// list of them cut.
    public var cutMessage: String {
        let lines = split(whereSeparator: \.isNewline).lazy.map(\.sentence).cutLines
        guard lines.utf8.count > Self.messageScalarsMax else { return lines }
        var start = ""
        for scalar in lines.unicodeScalars.prefix(Self.messageScalarsMax) { start.unicodeScalars.append(scalar) }
        return start + "…"
    }

    /// What is the same in all sentences of a kind: a hash of the words that hold no digit and no slash, without what
    /// is quoted.
    fileprivate var kindOfSentence: Int {
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
