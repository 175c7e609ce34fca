import NameMatching
import Testing

/// Expected matches are those of Python's `re.match(rf"(.*\.)?({key})$", path)`.
@Suite struct RegularPatternTests {
    private func matches(_ pattern: String, _ path: String) throws -> Bool {
        var steps = 1 << 20
        return try RegularPattern(pattern).matchesEnd(ofPath: Array(path.unicodeScalars), steps: &steps)
    }

    @Test(arguments: [
        ("q_proj", ["q_proj", "a.q_proj", "a.b.q_proj"], ["xq_proj", "q_proj.a", "q_pro", ""]),
        (#"layers\.[0-9]\.q"#, ["layers.3.q", "m.layers.3.q"], ["layers.13.q", "layers.3xq"]),
        ("layers.3", ["layers.3", "layersx3"], ["layers.33"]),
        ("^q", ["q"], ["a.q"]), ("q$", ["q", "a.q"], ["q.a"]), ("a^b", [], ["ab"]),
        ("k|v|qu", ["k", "v", "a.v", "qu"], ["q", "kv", "kqu"]),
        (#"(a|b)\.(?:c|d)*e?"#, ["a.", "x.b.cd", "b.cce"], ["c.c", "b.cee"]),
        (#"l\d+\.\w*"#, ["l10.a_1", "l1."], ["l.a", "l1.a-b"]), (#"[^a-c_]\D\W"#, ["dx-", "-x "], ["ax-", "d1-"]),
        ("a{2}", ["aa"], ["a", "aaa"]), ("a{1,2}b{,1}c{2,}", ["abcc", "aaccc"], ["aaabcc", "abbcc", "abc"]),
        ("a{x}", ["a{x}"], ["a"]), ("a*?b+?", ["b", "aabb"], ["a"]), ("[]a-]+", ["]-a"], ["b"]),
        (#"[\d\-x]"#, ["5", "-", "x"], ["d"]), ("", ["", "a."], ["a"]), ("(|a)b", ["b", "ab"], ["aab"]),
        ("()*a", ["a"], [""]),
        (".", ["ä", "x"], ["", "xy"]), (#"\.\*"#, [".*", "a..*"], ["a*"]), ("(a?){3}", ["", "aaa"], ["aaaa"]),
    ])
    func `a pattern fits as Python's does`(pattern: String, fitting: [String], others: [String]) throws {
        for path in fitting { #expect(try matches(pattern, path), "\(path)") }
        for path in others { #expect(try !matches(pattern, path), "\(path)") }
    }

    @Test(arguments: [
        ("(", "a \"(\" has no \")\""), ("a)b", "a \")\" has no \"(\""), ("[a", "a \"[\" has no \"]\""),
        ("*a", "\"*\" repeats nothing"), ("a**", "a repetition is repeated at \"*\""),
        ("a++", "a repetition is repeated at \"+\""), (#"(a)\1"#, #""\1" is not offered"#),
        (#"\bq"#, #""\b" is not offered"#), ("(?=a)", "\"(?=\" is not offered"), ("(?i)a", "\"(?i\" is not offered"),
        ("a\\", "it ends with \"\\\""), ("[b-a]", "a range of a class has no order"),
        ("a{2,1}", "a repetition's numbers are in the wrong order"),
        (#"[\D]"#, "an opposite within a class is not offered"),
        ("(a{200}){200}", "its repetitions make it longer than 16384 steps"),
        ("a{99999999999999999999}", "it repeats something 16384 times or more"),
        (String(repeating: "(", count: 100), "its groups are nested more than 32 deep"),
    ])
    func `other patterns are refused with the reason`(pattern: String, problem: String) {
        #expect { try RegularPattern(pattern) } throws: { "\($0)" == problem }
    }

    @Test func `patterns that make other engines go back take linear time`() throws {
        for pattern in ["(a*)*b", "(a|a)*b", "(a+)+b", "(a?){30}a{30}b"] {
            let parsed = try RegularPattern(pattern)
            let counts = try [1000, 2000].map { length in
                var steps = 1 << 30
                let path = Array(repeating: "a" as Unicode.Scalar, count: length)
                #expect(!parsed.matchesEnd(ofPath: path, steps: &steps))
                try #require(steps > 0)
                return (1 << 30) - steps
            }
            // The first and the last scalar may take more steps than the others.
            #expect(counts[1] <= 2 * counts[0] + 200)
        }
    }

    @Test func `a pattern without steps left fits nothing`() throws {
        var steps = 3
        #expect(try !RegularPattern("aaaa").matchesEnd(ofPath: Array("aaaa".unicodeScalars), steps: &steps))
        #expect(steps <= 0)
    }
}
