import Identifiers
import Testing

/// Lists for a person: the first of each kind, and a count of the rest.
@Suite struct CutListTests {
    private func lines(_ sentences: some Sequence<String>) -> [String] {
        CutList(sentences) { $0 }.elements { words, _ in words }
    }

    @Test func `a list of a hundred of a kind is whole`() {
        let sentences = (0..<100).map { "/data/\($0).safetensors: tensor \"l.\($0)\" has the shape [\($0), 2]." }
        #expect(lines(sentences) == sentences)
    }

    @Test func `of a kind the first hundred are shown, whatever is quoted, counted or a path`() {
        let many = (0..<100_000).map { "/data/\($0).safetensors: tensor \"l.\($0)\" has the shape [\($0), 2]." }
        let shown = lines(many + ["the weights sum to zero."])
        #expect(shown.count == 102)
        #expect(Array(shown.prefix(100)) == Array(many.prefix(100)))
        #expect(shown[100] == "and 99900 more of this kind.")
        #expect(shown[101] == "the weights sum to zero.")
    }

    @Test func `one kind does not hide another, in whatever order they come`() {
        let mixed = (0..<300).flatMap { ["tensor \"\($0)\" is missing.", "layer \"\($0)\" is not square."] }
        let shown = lines(mixed)
        #expect(shown.count == 202)
        #expect(shown.count { $0.hasPrefix("tensor") } == 100)
        #expect(shown.count { $0.hasPrefix("layer") } == 100)
        #expect(shown.count { $0 == "and 200 more of this kind." } == 2)
    }

    @Test func `kinds without end are bounded too, and nothing is lost from the count`() {
        let letters = Array("abcdefghij")
        let words = (0..<10_000).map { String(String($0).compactMap(\.wholeNumberValue).map { letters[$0] }) }
        let shown = lines(words.map { "it is \($0)." })
        #expect(shown.count == 101)
        #expect(shown.last == "and 9900 more of other kinds.")
    }

    @Test func `all that is shown fits a message, however long sentences are`() {
        let long = String(repeating: "x", count: 100_000)
        let shown = lines((0..<1000).map { "\"\($0)\" \(long)" })
        #expect(shown.reduce(0) { $0 + $1.utf8.count } < 512 << 10)
        #expect(shown.last == "and 997 more of this kind.")
    }

    @Test func `cutting a list that was cut changes nothing`() {
        let once = lines((0..<1000).flatMap { ["tensor \"\($0)\" is missing.", "\($0) rows."] })
        #expect(lines(once) == once)
    }

    @Test func `names in one line are cut with a count`() {
        #expect(["a", "b"].listed() == "a, b")
        #expect((0..<1000).map { "w\($0)" }.listed(limit: 3) == "w0, w1, w2 and 997 more")
    }

    @Test func `a message keeps its lines, and is bounded`() {
        #expect("one.\ntwo.".cutMessage == "one.\ntwo.")
        #expect("clear\u{1B}[2J".cutMessage == "clear\\u{1b}[2J")
        let endless = (0..<100_000).map { "tensor \"\($0)\" is missing." }.joined(separator: "\n")
        #expect(endless.cutMessage.hasSuffix("and 99900 more of this kind."))
        #expect(String(repeating: "x\n\n", count: 1 << 20).cutMessage.utf8.count < 20_000)
        #expect(String(repeating: "é", count: 1 << 20).cutMessage.utf8.count < 20_000)
    }
}
