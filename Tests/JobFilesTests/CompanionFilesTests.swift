import FileAccess
import Foundation
import JobFiles
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// The files that go with a model's tensors: those of every model by name, those of one model by reference.
struct CompanionFilesTests {
    private let base: TemporaryDirectory

    init() throws {
        base = try TemporaryDirectory()
        _ = try base.write("model.safetensors", [:], [TestTensor("w", [1])])
    }

    private func write(_ files: [String: String]) throws {
        for (path, text) in files {
            let place = URL(fileURLWithPath: base.appending(path))
            try FileManager.default.createDirectory(
                at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: place)
        }
    }

    private func files(within roots: FileRoots = .unlimited) throws -> CompanionFiles {
        CompanionFiles(besides: try SafetensorsSet(opening: FilePath(base.path), within: roots))
    }

    @Test(arguments: [
        "config.json", "tokenizer.json", "generation_config.json", "preprocessor_config.json", "qwen.tiktoken",
        "tokenizer.model", "source.spm", "vocab.txt", "merges.txt", "vocab.bpe", "chat_template.jinja",
    ])
    func `configuration and tokenizer files go with every model`(name: String) throws {
        try write([name: "{}"])
        #expect(try files().copied == [name])
    }

    @Test(arguments: [
        "trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state_0.pth", "training_args.bin", "optimizer.json",
        "README.md", "other.bin", "pytorch_model.bin", "train.py",
    ])
    func `what training left and what nobody refers to is listed as left out`(name: String) throws {
        try write([name: "x"])
        #expect(try files().copied == [])
        #expect(try files().leftOut == [name])
    }

    @Test func `checkpoints and hidden directories stay where they are`() throws {
        try write(["checkpoint-10/config.json": "{}", ".git/config.json": "{}", "runs/x": ""])
        #expect(try files().copied == [])
        #expect(try files().leftOut == ["checkpoint-10/", "runs/"])
    }

    @Test(arguments: ["config.json", "tokenizer_config.json", "processor_config.json"])
    func `code goes with who names it, and with it what it imports`(name: String) throws {
        try write([
            name: #"{"auto_map": {"A": "modeling_x.X", "T": ["tokenization_x.T", null], "R": "org/repo--far.F"}}"#,
            "modeling_x.py": "import torch\nfrom .layers.block import (Block,\n    Other)\nfrom . import extra as e\n",
            "tokenization_x.py": "", "extra.py": "", "layers/block.py": "from ..common import c\n",
            "layers/unused.py": "", "layers/__init__.py": "", "common.py": "", "far.py": "", "train.py": "",
        ])
        #expect(
            try files().copied
                == [
                    "common.py", name, "extra.py", "layers/__init__.py", "layers/block.py", "modeling_x.py",
                    "tokenization_x.py",
                ].sorted())
        #expect(try files().leftOut == ["far.py", "train.py"])
        #expect(try files().notFollowed == [])
    }

    @Test func `the modules of sentence transformers go as a whole`() throws {
        try write([
            "modules.json":
                #"[{"path": "", "type": "a.T"}, {"path": "1_Pooling"}, {"path": "2_Dense", "type": "custom_st.Dense"}]"#,
            "1_Pooling/config.json": "{}", "2_Dense/config.json": "{}", "2_Dense/model.safetensors": "w",
            "2_Dense/optimizer.pt": "o", "custom_st.py": "", "3_Other/config.json": "{}",
        ])
        #expect(
            try files().copied == [
                "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "custom_st.py",
                "modules.json",
            ])
        #expect(try files().leftOut == ["3_Other/"])
    }

    @Test func `a file that configuration names goes, whatever it is called`() throws {
        try write([
            "tokenizer_config.json": #"{"vocab_file": "words.dat", "extra": {"names": ["speakers.npy"]}}"#,
            "words.dat": "",
            "speakers.npy": "", "other.dat": "",
        ])
        #expect(try files().copied == ["speakers.npy", "tokenizer_config.json", "words.dat"])
    }

    @Test(arguments: [
        (#"{"vocab_file": "../secret"}"#, "tokenizer_config.json names ../secret, which lies outside of the model"),
        (#"{"vocab_file": "/etc/passwd"}"#, "tokenizer_config.json names /etc/passwd, which lies outside of the model"),
        (
            #"{"auto_map": {"A": "../evil.X"}}"#,
            "tokenizer_config.json names ../evil.X, which lies outside of the model"
        ),
        (#"{"auto_map": {"A": "gone.X"}}"#, "tokenizer_config.json names gone.py, which is not there"),
        (#"{"vocab_file": "gone.txt"}"#, "tokenizer_config.json names gone.txt, which cannot be read"),
    ])
    func `a reference that leads nowhere or away is said and not followed`(text: String, expected: String) throws {
        try write(["tokenizer_config.json": text])
        let found = try files()
        #expect(found.copied == ["tokenizer_config.json"])
        #expect(found.notFollowed.count == 1 && found.notFollowed[0].hasPrefix(expected), "\(found.notFollowed)")
    }

    @Test func `a path in a key that is no reference is nobody's business`() throws {
        try write(["config.json": #"{"_name_or_path": "/home/somebody/model", "auto_map": {"A": "org/x--m.A"}}"#])
        #expect(try files().notFollowed == [])
    }

    @Test func `a link that leaves the roots is said and not followed`() throws {
        let outside = try TemporaryDirectory()
        try outside.write(Array("{}".utf8), to: "config.json")
        try FileManager.default.createSymbolicLink(
            atPath: base.appending("config.json"), withDestinationPath: outside.appending("config.json"))
        let found = try files(within: try FileRoots([FilePath(base.path)]))
        #expect(found.copied == [])
        #expect(
            found.notFollowed == [
                "config.json leads out of the directories that may be read; it is not copied."
            ])
        #expect(try files().copied == ["config.json"])
    }

    @Test func `copies keep their places below the merged model`() throws {
        try write([
            "modules.json": #"[{"path": "1_Pooling"}]"#, "1_Pooling/config.json": "{\"torch_dtype\": \"float32\"}",
        ])
        let output = try TemporaryDirectory()
        let writer = try CheckpointWriter(
            directory: FilePath(output.path), base: SafetensorsSet(opening: FilePath(base.path)), dataType: .bfloat16,
            provenance: "{}")
        let bytes: [UInt8] = [0, 0]
        try writer.write(bytes.span.bytes, to: "w")
        try writer.finish()
        #expect(try output.read("1_Pooling/config.json") == Array("{\"torch_dtype\": \"float32\"}".utf8))
    }
}
