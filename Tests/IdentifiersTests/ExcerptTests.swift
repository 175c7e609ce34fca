import Identifiers
import Testing

@Suite struct ExcerptTests {
    @Test(arguments: ["", "fc1.weight", String(repeating: "x", count: 160), String(repeating: "é", count: 80)])
    func `a short text is quoted whole`(text: String) {
        #expect(text.excerpt == text)
    }

    @Test func `of a long text the first hundred scalars are quoted`() {
        #expect(String(repeating: "x", count: 1000).excerpt == String(repeating: "x", count: 100) + "…")
        // One character.
        let stack = "e" + String(repeating: "\u{301}", count: 1000)
        #expect(stack.excerpt == "e" + String(repeating: "\u{301}", count: 99) + "…")
    }

    @Test func `a sentence quotes only the start of a long text`() {
        let name = String(repeating: "x", count: 1000)
        let start = String(repeating: "x", count: 100) + "…"
        #expect(
            "tensor \"\(name)\" of \"a\" is like (\"\(name)\"). Remove \"b\", or rename it.".sentence
                == "tensor \"\(start)\" of \"a\" is like (\"\(start)\"). Remove \"b\", or rename it.")
        let json = "{" + (0..<100).map { "\"l\($0)\": \"in_out\"" }.joined(separator: ", ") + "}"
        let shown = "the value \"\(json)\" is wrong; expected a list. Write the file again.".sentence
        #expect(shown.hasSuffix("is wrong; expected a list. Write the file again."))
    }

    @Test func `a long sentence without a second quotation mark stays whole`() {
        let rest = String(repeating: "word ", count: 100)
        #expect("the mark \" alone, and \(rest)".sentence == "the mark \" alone, and \(rest)")
    }

    @Test func `a sentence that is far too long keeps what it is about and what to do`() {
        let path = "/" + String(repeating: "x", count: 5000)
        let sentence = "\(path): cannot be made: the path is too long. Choose another.".sentence
        #expect(sentence.count == 2001)
        #expect(sentence.hasPrefix("/xxx"))
        #expect(sentence.hasSuffix("xxx: cannot be made: the path is too long. Choose another."))
    }
}
