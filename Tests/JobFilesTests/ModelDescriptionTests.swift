import FileAccess
import Foundation
import JobFiles
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// The content of the `config.json` beside a model's tensors.
@Suite struct ModelDescriptionTests {
    private let model: TemporaryDirectory

    init() throws {
        model = try TemporaryDirectory()
        _ = try model.write("model.safetensors", [:], [TestTensor("w", [1])])
    }

    private func description(_ text: String?, of path: String? = nil) throws -> ModelDescription? {
        if let text { try model.write(Array(text.utf8), to: "config.json") }
        return try ModelDescription.read(besides: SafetensorsSet(opening: FilePath(path ?? model.path)))
    }

    @Test func `values have the paths of their keys, and rotary positions their old names`() throws {
        let found = try #require(
            try description(
                #"{"model_type": "llama", "text": {"eps": 1e-05}, "quantization_config": null, "#
                    + #""rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}"#))
        #expect(
            found.values == [
                "model_type": "\"llama\"", "text.eps": "1e-05", "quantization_config": "null", "rope_theta": "5e5",
                "rope_scaling": "null",
            ])
        #expect(found.modelType == "llama")
        #expect(!found.isQuantized)
        #expect(found.location.string == model.appending("config.json"))
    }

    @Test(arguments: ["quantization_config", "compression_config"])
    func `a quantised model says so`(key: String) throws {
        #expect(try description("{\"\(key)\": {\"bits\": 4}}")?.isQuantized == true)
    }

    @Test func `a model without one says nothing, and a single file has the one beside it`() throws {
        #expect(try description(nil) == nil)
        #expect(try description("{\"model_type\": \"a\"}", of: model.appending("model.safetensors"))?.modelType == "a")
    }

    @Test(arguments: [
        ("[]", "a list"), ("\"llama\"", "a text"), ("null", "null"), ("3", "a number"), ("true", "a truth value"),
    ])
    func `JSON that is no object is told what it is`(text: String, kind: String) throws {
        let file = FilePath(model.appending("config.json"))
        let error = JobFileError.noConfiguration(file: file, found: kind)
        #expect(throws: error) { try description(text) }
        #expect(
            error.description
                == "\(file): is \(kind); expected an object of keys and values, as transformers writes it. Save the model's "
                + "configuration again.")
    }

    @Test func `what is no JSON is told with the place`() throws {
        let error = try #require(throws: JobFileError.self) { try description("{") }
        #expect(error.description.hasPrefix(model.appending("config.json: byte 1 is ")))
    }
}
