import Testing

@testable import JobPlan

@Suite struct GlobTests {
    @Test(arguments: [
        ("blocks.*", "blocks.0.mlp.fc1", true), ("blocks.*", "blocks", false), ("blocks.*", "xblocks.0", false),
        ("*", "", true), ("*", "a/b.c", true), ("", "", true), ("", "a", false),
        ("*.fc?", "blocks.3.fc1", true), ("*.fc?", "blocks.3.fc", false), ("*.fc?", "blocks.3.fc12", false),
        ("a*b*c", "abc", true), ("a*b*c", "a.b.b.c", true), ("a*b*c", "a.c.b", false),
        ("**", "anything", true), ("?", "é", true), ("head", "head", true), ("head", "head2", false),
        ("[ab]", "a", false), ("[ab]", "[ab]", true), ("*b", "ab.ab", true),
        ("a\\*", "a*", true), ("a\\*", "ab", false), ("a\\?.*", "a?.b", true), ("a\\\\*", "a\\b", true),
        ("a\\b", "a\\b", true),
        ("l[0].*", "l[0].fc", true), ("a\\*", "a\\*", true),
    ])
    func `a star stands for any text and a question mark for one character`(
        pattern: String,
        name: String,
        matches: Bool
    ) {
        #expect(Glob(pattern).matches(name) == matches)
    }

    @Test func `a name of equal text in other scalars is the name that is written`() {
        #expect(Glob("caf\u{E9}").matches("cafe\u{301}"))
        #expect(Glob("caf?").matches("caf\u{E9}"))
    }

    /// A recursive matcher takes 2^60 steps here.
    @Test func `a pattern of many stars does not explode`() {
        let pattern = String(repeating: "a*", count: 60) + "b"
        #expect(!Glob(pattern).matches(String(repeating: "a", count: 2000)))
    }
}
