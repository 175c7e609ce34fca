import Foundation
import JobPlan
import TestSupport
import Testing

@testable import Admission

/// The files beside a base's tensors that a merged model gets: its configuration and its tokenizer.
@Suite struct ModelFileTests {
    private let input: SmallInput

    init() throws {
        input = try SmallInput()
        for (place, name) in ["base", "t"].enumerated() {
            try FileManager.default.createDirectory(
                atPath: input.directory.appending(name), withIntermediateDirectories: true)
            try input.write(
                "\(name)/model",
                [
                    "model.embed_tokens.weight": [3, 2], "model.layers.0.w.weight": [2, 2],
                    "model.layers.1.w.weight": [2, 2], "model.norm.weight": [2],
                ], firstByte: UInt8(place))
        }
        try write("{}", to: "base/config.json")
        try write(#"{"model": {"vocab": {"a": 0, "b": 1}}}"#, to: "base/tokenizer.json")
    }

    private func write(_ text: String, to path: String) throws {
        try input.directory.write(Array(text.utf8), to: path)
    }

    private func job(_ lines: [String]) -> Submission {
        Submission(
            specText: (["merge_method: task_arithmetic", "base_model: base", "models: [{model: t}]", "output: out"]
                + lines)
                .joined(separator: "\n"), specPath: input.directory.appending("job.yaml"), overwrites: false)
    }

    private func problems(_ lines: String...) -> [String] {
        input.problems { () throws(JobRefusal) in _ = try input.admit(job(lines)) }
    }

    private func notices(_ lines: String...) throws -> [String] {
        try input.admit(job(lines)).plan.notices.map {
            $0.description.replacing("\(input.directory.path)/", with: "")
        }
    }

    @Test(arguments: [
        ("", "base/config.json: byte 0 is the end of the text; expected a value."),
        (
            "[1]",
            "base/config.json: is a list; expected an object of keys and values, as transformers writes it. Save the "
                + "model's configuration again."
        ),
        (#"{"a": 1, b}"#, "base/config.json: byte 9 is \"b\"; expected a string."),
    ])
    func `a configuration that the merged model could not be loaded with is refused`(
        text: String, cause: String
    ) throws {
        try write(text, to: "base/config.json")
        #expect(
            problems() == [
                "job.yaml:2:13 (base_model): \(cause) The merged model would have the same file, and could not be loaded. "
                    + "Copy the model's own config.json again."
            ])
        // No model gets it.
        #expect(problems("checkpoint: {form: lora, rank: 1}", "ignore: [model.norm.weight]") == [])
    }

    /// transformers reads configurations by Python's `json`, and wrote infinite numbers so.
    @Test(arguments: [#"{"a": 1, "a": 2}"#, #"{"a": [0.0, Infinity]}"#, #"{"a": NaN}"#])
    func `a configuration that Python reads is a remark`(text: String) throws {
        try write(text, to: "base/config.json")
        #expect(try notices().contains { $0.hasPrefix("base: its config.json is not used") })
    }

    @Test func `a configuration of a model that is not copied is a remark`() throws {
        try write("", to: "t/config.json")
        #expect(try notices().contains { $0.hasPrefix("t: its config.json is not used") })
    }

    @Test func `a missing configuration is a remark`() throws {
        try FileManager.default.removeItem(atPath: input.directory.appending("base/config.json"))
        #expect(
            try notices() == [
                "base: the base has no config.json, so the merged model has none either, and transformers cannot load it. "
                    + "Copy the model's config.json beside its tensors."
            ])
    }

    @Test func `sizes that the tensors contradict are remarks`() throws {
        try write(#"{"vocab_size": 3, "hidden_size": 2, "num_hidden_layers": 2}"#, to: "base/config.json")
        #expect(try notices() == [])
        try write(#"{"vocab_size": 4, "hidden_size": 3, "num_hidden_layers": 5}"#, to: "base/config.json")
        let rest = "; the merged model has the same config.json. Copy the model's own config.json beside its tensors."
        #expect(
            try notices() == [
                "base/config.json: \"vocab_size\" is 4, but \"model.embed_tokens.weight\" has 3 rows\(rest)",
                "base/config.json: \"hidden_size\" is 3, but \"model.norm.weight\" has 2 elements\(rest)",
                "base/config.json: \"num_hidden_layers\" is 5, but the tensors are of 2 layers\(rest)",
            ])
        // Layers behind the last one that the configuration counts.
        try write(#"{"num_hidden_layers": 1, "num_nextn_predict_layers": 1}"#, to: "base/config.json")
        #expect(try notices() == [])
    }

    @Test func `a base without a tokenizer is a remark, or refused where the job asks for its tokenizer`() throws {
        try FileManager.default.removeItem(atPath: input.directory.appending("base/tokenizer.json"))
        let start = "base: the base has no tokenizer files, so the merged model has none either"
        let end = "Copy the base's beside its weights, or a tokenizer into the merged directory."
        #expect(try notices() == ["\(start). \(end)"])
        try write(#"{"model": {"vocab": {"a": 0, "b": 1}}}"#, to: "t/tokenizer.json")
        #expect(try notices() == ["\(start); that of task \"t\" has some. \(end)"])
        #expect(try notices("checkpoint: {copy_tokenizer: false}") == [])
        #expect(
            problems("tokenizer_source: base") == [
                "job.yaml:5:19: the job asks for the base's tokenizer, but base has no file of one. Put its tokenizer "
                    + "beside the weights, or remove the key."
            ])
    }

    @Test func `other tokens than the base's are a remark`() throws {
        try write(#"{"model": {"vocab": {"a": 0, "b": 1}}, "version": "1.0"}"#, to: "t/tokenizer.json")
        #expect(try notices() == [])
        try write(#"{"model": {"vocab": {"b": 0, "a": 1}}}"#, to: "t/tokenizer.json")
        #expect(
            try notices() == [
                "t: task \"t\" has 2 tokens and the base 2: id 0 is \"b\" and \"a\", id 1 is \"a\" and \"b\". Rows of "
                    + "embeddings are merged by their numbers, so such rows mix different tokens. Merge models with one "
                    + "tokenizer; \"tokenizer_source\" lets the job be refused otherwise."
            ])
    }
}
