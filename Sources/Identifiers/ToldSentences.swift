/// The sentences that were told already, so that a cause that repeats is told once.
///
/// Two sentences are the same when they differ only in quoted text, numbers and paths, as in ``CutList``.
public struct ToldSentences: Equatable, Sendable {
    /// The most sentences that are told; a program has far fewer causes.
    private static let toldMax = 1000

    private var kinds: Set<Int> = []
    /// How many sentences were told before.
    public private(set) var repetitions = 0

    /// Nothing was told.
    public init() {}

    /// Whether nothing was told.
    public var isEmpty: Bool { kinds.isEmpty }

    /// Notes a sentence.
    ///
    /// - Parameter sentence: The sentence.
    /// - Returns: Whether it must be told.
    public mutating func insert(_ sentence: String) -> Bool {
        guard kinds.count < Self.toldMax, kinds.insert(sentence.kindOfSentence).inserted else {
            repetitions += 1
            return false
        }
        return true
    }
}
