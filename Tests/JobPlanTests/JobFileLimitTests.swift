import Identifiers
import JobPlan
import TaskArithmetic
import Testing

/// Job files that would keep the coordinator busy: one test for each limit, with the whole message.
@Suite struct JobFileLimitTests {
    @Test func `a file of many bytes is not parsed`() {
        let yaml = "# " + String(repeating: "x", count: 262_143)
        #expect(
            problems(in: yaml) == ["job.yaml: the file has 262145 bytes; at most 262144 are allowed for a job file."])
    }

    // MARK: - Aliases

    @Test func `an alias stands for what its anchor names`() throws {
        var text = JobFileText(models: [
            "- &a {model: a, curvature_weight: 2}", "- {model: b, parameters: &p {weight: 1}}",
        ])
        text.rest = ["parameters: *p"]
        #expect(try text.spec().parameters["weight"] == .scalar(1))
    }

    @Test func `aliases of aliases that stand for millions of values are refused`() {
        var lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        for level in 1...8 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            lines.append("a\(level): &a\(level) [\(aliases)]")
        }
        let expected =
            "job.yaml: the file has more than 100000 values, those that aliases repeat counted each time; expected a "
            + "job of at most 500 tasks."
        #expect(problems(in: lines.joined(separator: "\n")) == [expected])
    }

    @Test func `a chain of aliases as long as the file is walked without recursion and refused`() {
        let chain = (1...5000).map { "k\($0): &a\($0) [*a\($0 - 1)]" }
        let expected =
            "job.yaml: the file has more than 100000 values, those that aliases repeat counted each time; expected a "
            + "job of at most 500 tasks."
        #expect(problems(in: "k0: &a0 x\n" + chain.joined(separator: "\n")) == [expected])
    }

    /// Parsing such a key takes time that doubles with each level.
    @Test(arguments: [
        "? *a\n: 1", "*a : 1", "[x, *a]: 1", "{x: *a}\t: 1", "{? *a : 1}", "{?*a : 1}", "x: [*a: 1]", "&k [*a] : 1",
    ])
    func `an alias within a key is refused`(key: String) {
        let expected =
            "job.yaml:2: a list, a mapping or an alias is the key of a mapping, in a file with aliases. Write keys as "
            + "plain words, or the values out."
        #expect(problems(in: "a: &a [x]\n\(key)\n") == [expected])
    }

    // MARK: - Many of a kind

    @Test func `problems beyond the first hundred are counted`() {
        let keys = (0..<107).map { "wrong\($0): 1" }
        let found = problems(in: JobFileText(rest: keys).yaml)
        #expect(found.count == 101)
        #expect(found.last == "job.yaml: there are 7 more problems.")
    }

    @Test func `a job has at most five hundred tasks`() {
        let text = JobFileText(models: (0...500).map { "- {name: t\($0), factors: f}" })
        #expect(problems(in: text.yaml) == ["job.yaml:4:3: \"models\" has 501 entries; at most 500 are allowed."])
    }

    @Test func `a regularizer has at most five hundred targets`() {
        let names = (0...500).map { "t\($0)" }.joined(separator: ", ")
        let text = JobFileText(rest: ["kfac: {regularizer: {targets: [\(names)]}}"])
        #expect(
            problems(in: text.yaml) == ["job.yaml:6:31: \"targets\" names 501 tasks; at most 500 are allowed."])
    }

    @Test func `a long word is quoted by its start`() {
        let start = String(repeating: "x", count: 100)
        let text = JobFileText(method: start + start)
        let known = MergeMethod.all.map(\.name).joined(separator: ", ")
        #expect(
            problems(in: text.yaml) == ["job.yaml:1:15: \"merge_method\" must be one of \(known), not \"\(start)…\"."])
    }
}
