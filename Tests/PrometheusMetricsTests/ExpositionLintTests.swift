import TestSupport
import Testing

/// The checker of metrics finds the faults that it is made for.
@Suite struct ExpositionLintTests {
    @Test(arguments: [
        ("# HELP a_total A.\n# TYPE a_total counter\na_total 1\n", nil),
        ("# TYPE a counter\na 1\n", "a: no help text"),
        ("# HELP a A.\na 1\n", "a: no type"),
        ("# HELP a A.\n# TYPE a counter\na 1\n", "a: counter metrics should have \"_total\" suffix"),
        ("# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n", "a_total: non-counter metrics should not have"),
        ("# HELP a_hours A.\n# TYPE a_hours gauge\na_hours 1\n", "a_hours: use base unit \"seconds\""),
        ("# HELP a_kb A.\n# TYPE a_kb gauge\na_kb 1\n", "a_kb: metric names should not contain abbreviated units"),
        ("# HELP a_gauge A.\n# TYPE a_gauge gauge\na_gauge 1\n", "a_gauge: metric name should not include type"),
        ("# HELP aB A.\n# TYPE aB gauge\naB 1\n", "aB: metric names should be written in 'snake_case'"),
        ("# HELP a:b A.\n# TYPE a:b gauge\na:b 1\n", "a:b: metric names should not contain ':'"),
        ("# HELP a_sum A.\n# TYPE a_sum gauge\na_sum 1\n", "a_sum: non-histogram and non-summary metrics"),
        ("# HELP a A.\n# TYPE a gauge\na{le=\"1\"} 1\n", "a: non-histogram metrics should not have \"le\" label"),
        ("# HELP a A.\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 2\n", "a: duplicate series"),
        (
            "# HELP a A.\n# TYPE a gauge\na 1\n# HELP b B.\n# TYPE b gauge\nb 1\na{x=\"1\"} 1\n",
            "a: lines of one metric"
        ),
        ("# HELP a A.\n# TYPE a gauge\na{x=\"\\q\"} 1\n", "a: bad escape in a label's value"),
        ("# HELP a \\q\n# TYPE a gauge\na 1\n", "a: bad escape in HELP"),
        ("# HELP a A.\n# TYPE a gauge\na one\n", "a: malformed value one"),
        ("# HELP a A.\n# TYPE a gauge\na{x=1} 1\n", "malformed line"),
        ("# HELP a A.\n# TYPE a gauge\na 1", "the last line has no end"),
        ("# HELP a A.\n# HELP a A.\n# TYPE a gauge\na 1\n", "a: a second HELP line"),
        ("# HELP a A.\n# TYPE a gauge\n", "a: no series"),
    ])
    func `each rule is applied`(text: String, problem: String?) {
        let problems = ExpositionLint.problems(of: text)
        if let problem {
            #expect(problems.contains { $0.hasPrefix(problem) }, "\(problems)")
        } else {
            #expect(problems.isEmpty)
        }
    }
}
