import NameMatching
import Testing

@Suite struct WildcardsTests {
    private func scalars(_ text: String) -> [Wildcards.Part] { text.unicodeScalars.map { .scalar($0) } }

    @Test func `a class stands for one of its scalars, and a negated one for one of the others`() {
        let vowels: Wildcards.Part = .set(["a"..."a", "e"..."i"], isNegated: false)
        let others: Wildcards.Part = .set(["a"..."a", "e"..."i"], isNegated: true)
        for (name, isIn) in [("xa", true), ("xg", true), ("xi", true), ("xb", false), ("xj", false)] {
            #expect(Wildcards(scalars("x") + [vowels]).matches(name) == isIn)
            #expect(Wildcards(scalars("x") + [others]).matches(name) == !isIn)
        }
        #expect(!Wildcards([others]).matches(""))
    }

    @Test func `text stands for any number of scalars, none among them`() {
        let pattern = Wildcards(scalars("a") + [.text, .text] + scalars("b") + [.text])
        for name in ["ab", "a.b", "abb", "a.b.c", "aéb"] { #expect(pattern.matches(name)) }
        for name in ["", "a", "b", "ba", "xab"] { #expect(!pattern.matches(name)) }
        #expect(Wildcards([.text]).matches(""))
    }

    @Test func `a pattern of nothing fits the empty name only`() {
        #expect(Wildcards([]).matches(""))
        #expect(!Wildcards([]).matches("a"))
    }

    @Test func `one scalar is one, whatever it looks like with its neighbours`() {
        #expect(Wildcards([.any]).matches("\u{E9}"))
        #expect(!Wildcards([.any]).matches("e\u{301}"))
        #expect(Wildcards([.any, .any]).matches("e\u{301}"))
        #expect(Wildcards([.any, .any]).matches("\r\n"))
    }
}
