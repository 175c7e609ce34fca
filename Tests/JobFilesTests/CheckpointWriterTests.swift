import JobFiles
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Merged models in the layout of their base.
struct CheckpointWriterTests {
    private let base: TemporaryDirectory
    private let output: TemporaryDirectory

    init() throws {
        base = try TemporaryDirectory()
        output = try TemporaryDirectory()
    }

    private var outputPath: FilePath { FilePath(output.path) }

    private func text(_ name: String) throws -> String { try String(decoding: output.read(name), as: UTF8.self) }

    private func write(_ bytes: [UInt8], to name: String, _ writer: CheckpointWriter) throws {
        try writer.write(bytes.span.bytes, to: name)
    }

    private func writeShardedBase() throws -> SafetensorsSet {
        _ = try base.write(
            "model-00001-of-00002.safetensors",
            ["format": "pt"],
            [TestTensor("w", [2, 1]), TestTensor("ids", [2], zeros: .int64)]
        )
        _ = try base.write("model-00002-of-00002.safetensors", ["format": "pt"], [TestTensor("a", [1])])
        let index =
            #"{"metadata":{"total_size":28},"weight_map":{"w":"model-00001-of-00002.safetensors","#
            + #""ids":"model-00001-of-00002.safetensors","a":"model-00002-of-00002.safetensors"}}"#
        try base.write(Array(index.utf8), to: "model.safetensors.index.json")
        for name in ["tokenizer.json", "merges.txt", "generation_config.json", "README.md", "other.bin"] {
            try base.write(Array(name.utf8), to: name)
        }
        let config = """
            {"torch_dtype": "float32", "eps": 1e-05, "text_config": {"dtype": "float32", "n": 2},
             "quantization_config": {"dtype": "int8"}}
            """
        try base.write(Array(config.utf8), to: "config.json")
        return try SafetensorsSet(opening: FilePath(base.path))
    }

    @Test func `names, order, sharding, metadata and companions are the base's, the type is the job's`() throws {
        let set = try writeShardedBase()
        let writer = try CheckpointWriter(
            directory: outputPath,
            base: set,
            dataType: .bfloat16,
            provenance: #"{"job":"j"}"#
        )
        #expect(writer.layout.tensors.map(\.dataType) == [.bfloat16, .int64, .bfloat16])
        try write([1, 2, 3, 4], to: "w", writer)
        try writer.write([UInt8](repeating: 5, count: 16).span.bytes, to: "ids")
        try write([6, 7], to: "a", writer)
        #expect(try output.names().allSatisfy { $0.hasPrefix(".") })
        try writer.finish()
        #expect(
            try output.names() == [
                "config.json", "generation_config.json", "merges.txt", "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json",
            ]
        )
        let merged = try SafetensorsSet(opening: outputPath)
        #expect(merged.tensors.map(\.name) == ["w", "ids", "a"])
        #expect(merged.metadata == ["format": "pt", "kfacd": #"{"job":"j"}"#])
        #expect(try text("tokenizer.json") == "tokenizer.json")
        #expect(try text("model.safetensors.index.json").contains("\"total_size\": 22"))
        #expect(
            try text("config.json") == """
                {
                  "torch_dtype": "bfloat16",
                  "eps": 1e-05,
                  "text_config": {
                    "dtype": "bfloat16",
                    "n": 2
                  },
                  "quantization_config": {
                    "dtype": "int8"
                  }
                }

                """
        )
    }

    @Test func `without a type every tensor and the config stay as they are`() throws {
        let set = try writeShardedBase()
        let writer = try CheckpointWriter(directory: outputPath, base: set, provenance: "{}")
        #expect(writer.layout == set.layout)
        for tensor in set.tensors {
            let bytes = [UInt8](repeating: 0, count: tensor.byteCount ?? 0)
            try writer.write(bytes.span.bytes, to: tensor.name)
        }
        try writer.finish()
        #expect(try output.read("config.json") == base.read("config.json"))
    }

    @Test func `a base that is one file becomes model safetensors`() throws {
        let path = try base.write("theta0.safetensors", [:], [TestTensor("w", [1])])
        let writer = try CheckpointWriter(
            directory: outputPath,
            base: SafetensorsSet(opening: path),
            provenance: "{}"
        )
        try write([0, 0, 0, 0], to: "w", writer)
        try writer.finish()
        #expect(try output.names() == ["model.safetensors"])
    }

    @Test func `an incomplete model is not published`() throws {
        let path = try base.write("theta0.safetensors", [:], [TestTensor("w", [1])])
        let writer = try CheckpointWriter(
            directory: outputPath,
            base: SafetensorsSet(opening: path),
            provenance: "{}"
        )
        #expect(
            errorMessage { () throws(JobFileError) in try writer.finish() }
                == "\(output.path)/model.safetensors: tensor \"w\" was given 0 bytes; expected 4. "
                + "The file was not published."
        )
    }
}
