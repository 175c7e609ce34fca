import Foundation
import JobPlan
import TestSupport
import Testing

@testable import Admission

/// Jobs that ask for one tokenizer of all models, with real files.
@Suite struct SharedVocabularyTests {
    private let input: SmallInput

    init() throws {
        input = try SmallInput()
        try write("base", ["a", "b"])
        try write("t", ["a", "b"], firstByte: 1)
    }

    /// A model of two rows in a directory of its own, with these tokens.
    private func write(_ name: String, _ tokens: [String]?, firstByte: UInt8 = 0, template: String = "{}") throws {
        let directory = input.directory.appending(name)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try? FileManager.default.removeItem(atPath: "\(directory)/tokenizer.json")
        try input.write("\(name)/model", ["model.embed_tokens.weight": [2, 3]], firstByte: firstByte)
        try input.directory.write(Array(template.utf8), to: "\(name)/tokenizer_config.json")
        guard let tokens else { return }
        let vocabulary = tokens.enumerated().map { "\"\($1)\": \($0)" }.joined(separator: ", ")
        try input.directory.write(
            Array(#"{"model": {"vocab": {\#(vocabulary)}}}"#.utf8), to: "\(name)/tokenizer.json")
    }

    private func problems(_ lines: String...) -> [String] {
        let job = Submission(
            specText: """
                merge_method: task_arithmetic
                base_model: base
                models: [{model: t}]
                output: out

                """ + lines.joined(separator: "\n"), specPath: input.directory.appending("job.yaml"), overwrites: false)
        return input.problems { () throws(JobRefusal) in _ = try input.admit(job) }
    }

    private static let fact = "job.yaml:5:19: the job asks for one tokenizer of all models, but"
    private static let sources = ["base", "union", "t", "model:t"].map { "tokenizer_source: \($0)" }

    @Test(arguments: sources + ["tokenizer: {source: union, tokens: {}}", "tokenizer: {}"])
    func `equal vocabularies are one tokenizer`(line: String) {
        #expect(problems(line) == [])
    }

    @Test(arguments: sources)
    func `other tokens are told by their number and the first ones`(line: String) throws {
        try write("t", ["a", "c"], firstByte: 1)
        let message =
            "\(Self.fact) task \"t\" has 2 tokens and the base 2: id 1 is \"c\" and \"b\". Vocabularies are not joined: "
            + "merge models with one tokenizer."
        #expect(problems(line) == [message])
    }

    @Test func `a missing token is told`() throws {
        try write("t", ["a"], firstByte: 1)
        #expect(
            problems("tokenizer_source: union") == [
                "\(Self.fact) task \"t\" has 1 tokens and the base 2: id 1 is no token and \"b\". Vocabularies are not "
                    + "joined: merge models with one tokenizer."
            ])
    }

    @Test func `tokens without a row of the embedding do not count, as in mergekit`() throws {
        try write("t", ["a", "b", "c"], firstByte: 1)
        #expect(problems("tokenizer_source: union") == [])
    }

    @Test func `a vocabulary that is not there is told, unless the base's is copied anyway`() throws {
        try write("t", nil, firstByte: 1)
        let advice =
            "has no tokenizer.json, so nothing shows that equal rows are equal tokens. Put its tokenizer.json beside the "
            + "weights."
        #expect(problems("tokenizer_source: union") == ["\(Self.fact) task \"t\" \(advice)"])
        #expect(problems("tokenizer_source: base") == [])
        try write("base", nil)
        #expect(problems("tokenizer_source: t") == ["\(Self.fact) the base \(advice)"])
        #expect(problems("tokenizer_source: base") == [])
    }

    @Test func `a model's tokenizer with other files than the base's is refused`() throws {
        try write("t", ["a", "b"], firstByte: 1, template: #"{"chat_template": "x"}"#)
        #expect(problems("tokenizer_source: union") == [])
        #expect(
            problems("tokenizer_source: t") == [
                "job.yaml:5:19: task \"t\" has the base's tokens, but not its tokenizer_config.json, and the base's files "
                    + "are copied. Write \"base\", and copy the file into the merged directory."
            ])
    }

    @Test func `rows are not added`() {
        #expect(problems("tokenizer: {pad_to_multiple_of: 2}") == [])
        #expect(
            problems("tokenizer: {pad_to_multiple_of: 64}") == [
                "job.yaml:5:33: \"pad_to_multiple_of\" is 64, but \"model.embed_tokens.weight\" of the base has 2 rows; "
                    + "expected a number that divides them, because no rows are added. Remove it."
            ])
    }
}
