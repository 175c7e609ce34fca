import TestSupport
import Testing

/// Problems of the choice of a tokenizer, with the whole message.
@Suite struct TokenizerProblemTests {
    @Test(arguments: [
        (
            "tokenizer_source: models/c",
            "job.yaml:6:19: \"tokenizer_source\" is \"models/c\", which is no model of the job; expected base, union, or a "
                + "model's path. Did you mean \"models/a\"?"
        ),
        (
            "tokenizer: {source: other}",
            "job.yaml:6:21: \"source\" is \"other\", which is no model of the job; expected base, union, or a model's path."
        ),
        (
            "tokenizer: {tokens: {x: {source: zero}}}",
            "job.yaml:6:13: \"tokens\" is not supported in \"tokenizer\". Every token keeps its row of the embedding; list "
                + "none."
        ),
        (
            "tokenizer: {pad_to_multiple_of: 0}",
            "job.yaml:6:33: \"pad_to_multiple_of\" must be a whole number of at least 1."
        ),
        ("tokenizer: union", "job.yaml:6:12: \"tokenizer\" must be a mapping of keys to values."),
        (
            "tokenizer: {source: union}\ntokenizer_source: base",
            "job.yaml:6:12: \"tokenizer\" stands beside \"tokenizer_source\"; expected one of them. Remove the other."
        ),
    ])
    func `a tokenizer of another form is told`(line: String, problem: String) {
        #expect(problems(in: JobFileText(rest: [line]).yaml) == [problem])
    }
}
