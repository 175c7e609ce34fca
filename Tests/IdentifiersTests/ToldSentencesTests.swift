import Identifiers
import Testing

@Suite struct ToldSentencesTests {
    /// Which of some sentences are told.
    private func news(_ sentences: [String]) -> [Bool] {
        var told = ToldSentences()
        return sentences.map { told.insert($0) }
    }

    @Test func `a sentence is told once, whatever its paths, names and numbers`() {
        let sentences = (0..<40).map { "/state/blobs/\($0): open failed: the file system is read-only." }
        #expect(news(sentences) == [true] + [Bool](repeating: false, count: 39))
        var told = ToldSentences()
        #expect(told.isEmpty)
        for sentence in sentences { _ = told.insert(sentence) }
        #expect(told.repetitions == 39)
        #expect(!told.isEmpty)
    }

    @Test func `another cause is told, and the first is not told again after it`() {
        #expect(
            news([
                "/a: open failed: the file system is read-only.", "/a: write failed: no space is left on the disk.",
                "/b: open failed: the file system is read-only.",
            ]) == [true, true, false])
    }

    @Test func `the number of causes is bounded`() {
        // Numbers make no other cause, so each is spelled in letters.
        let sentences = (0..<2000).map { number in
            "cause " + String(number).map { String(Unicode.Scalar(97 + ($0.wholeNumberValue ?? 0)) ?? "a") }.joined()
        }
        #expect(news(sentences).count { $0 } == 1000)
    }
}
