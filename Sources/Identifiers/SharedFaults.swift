/// Sentences about things, in which things with the same fault share one.
///
/// Each thing has a sentence of its own while few have the fault. Otherwise the sentence about the first is followed by
/// the number of the others, and their first names and files. Two faults are the same when their sentences differ only
/// in quoted text, numbers and paths, as in ``CutList``.
public struct SharedFaults: Sendable {
    /// The most things with one fault that have a sentence each.
    public static var separateMax: Int { 3 }
    /// The most of the other names and files that are named.
    private static let namedMax = 2

    /// A sentence and the place that it is about.
    public struct Finding: Equatable, Sendable {
        /// A file, or a place in the job file.
        public let place: String
        /// What is wrong there, what was expected and what to do.
        public let sentence: String
    }

    /// The things with one fault.
    private struct Fault: Sendable {
        let things: String
        var shown: [(order: Int, finding: Finding)] = []
        var names = DistinctNames()
        var places = DistinctNames()
        var count = 0
    }

    private var faults: [Fault] = []
    private var positions: [Int: Int] = [:]
    private var count = 0

    /// No sentences.
    public init() {}

    /// Adds what is wrong with one thing.
    ///
    /// - Parameters:
    ///   - sentence: What is wrong, what was expected and what to do, without the place.
    ///   - name: The thing's name; `nil` if the sentence is about the place itself.
    ///   - things: The word for several such things: `tensors`. Things of other words never share a sentence.
    ///   - place: The file, or the place in the job file.
    ///   - advice: An end of the sentence that concerns this thing alone, such as a suggested name.
    public mutating func append(
        _ sentence: String, about name: String?, of things: String, at place: String, advice: String = ""
    ) {
        var kind = Hasher()
        kind.combine(things)
        kind.combine(sentence.kindOfSentence)
        let fault = kind.finalize()
        let position = positions[fault, default: faults.count]
        if position == faults.count {
            positions[fault] = position
            faults.append(Fault(things: things))
        }
        if faults[position].count < Self.separateMax {
            faults[position].shown.append((count, Finding(place: place, sentence: sentence + advice)))
        }
        if let name { faults[position].names.insert(name) }
        faults[position].places.insert(place)
        faults[position].count += 1
        count += 1
    }

    /// Adds what is wrong with a file or a thing in it.
    ///
    /// - Parameters:
    ///   - description: The whole sentence, which begins with the file.
    ///   - name: The thing's name; `nil` if the sentence is about the file itself.
    ///   - things: The word for several such things.
    ///   - file: The file.
    public mutating func append(_ description: String, about name: String?, of things: String, in file: String) {
        let start = "\(file): "
        guard description.hasPrefix(start) else {
            append(description, about: name, of: things, at: "")
            return
        }
        append(String(description.dropFirst(start.count)), about: name, of: things, at: file)
    }

    /// The findings as sentences that begin with their place.
    public var sentences: [String] {
        findings.map { $0.place.isEmpty ? $0.sentence : "\($0.place): \($0.sentence)" }
    }

    /// The sentences, in the order in which their things were added.
    public var findings: [Finding] {
        faults.flatMap { fault -> [(order: Int, finding: Finding)] in
            guard fault.count > Self.separateMax, let (order, first) = fault.shown.first else { return fault.shown }
            return [(order, Finding(place: first.place, sentence: first.sentence + Self.others(of: fault)))]
        }.sorted { $0.order < $1.order }.map(\.finding)
    }

    /// The sentence about the things after the first.
    private static func others(of fault: Fault) -> String {
        let names = fault.names.others(shown: namedMax) { "\"\($0.excerpt)\"" }
        let places = fault.places.others(shown: namedMax, words: \.excerpt)
        let parts = [
            names.map { "\(fault.names.count - 1) more \(fault.things): \($0)" },
            places.map { "\(fault.places.count - 1) more \(fault.places.count == 2 ? "file" : "files"): \($0)" },
        ].compactMap(\.self)
        return parts.isEmpty
            ? " It occurs \(fault.count) times." : " The same is true of \(parts.joined(separator: "; and of "))."
    }
}

/// Names without repetitions, of which the first are kept in order.
private struct DistinctNames: Sendable {
    private var known: Set<String> = []
    private var first: [String] = []

    var count: Int { known.count }

    mutating func insert(_ name: String) {
        guard known.insert(name).inserted, first.count <= SharedFaults.separateMax else { return }
        first.append(name)
    }

    /// The names after the first one, and the number of those that are not shown; `nil` if there are none.
    func others(shown: Int, words: (String) -> String) -> String? {
        guard count > 1 else { return nil }
        let names = first.dropFirst().prefix(shown).map(words)
        let rest = count - 1 - names.count
        return names.joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
    }
}
