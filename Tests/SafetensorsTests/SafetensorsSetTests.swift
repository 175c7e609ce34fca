import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Directories in Hugging Face layout, valid and invalid.
struct SafetensorsSetTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.path) }
    private var index: String { "\(directory.path)/model.safetensors.index.json" }

    init() throws { directory = try TemporaryDirectory() }

    private func write(_ name: String, tensors: [String]) throws {
        let entries = tensors.enumerated().map { position, tensor in
            "\"\(tensor)\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[\(position),\(position + 1)]}"
        }
        try directory.write(
            fileBytes("{\(entries.joined(separator: ","))}", dataByteCount: tensors.count),
            to: name
        )
    }

    private func writeIndex(_ map: String) throws {
        let text = #"{"metadata":{"total_size":3},"weight_map":{\#(map)}}"#
        try directory.write(Array(text.utf8), to: "model.safetensors.index.json")
    }

    private func openError() -> String? {
        errorMessage { () throws(SafetensorsError) in _ = try SafetensorsSet(opening: path) }
    }

    @Test func `a file, its directory and an index lead to tensors`() throws {
        try write("model.safetensors", tensors: ["a", "b"])
        #expect(try SafetensorsSet(opening: path.appending("model.safetensors")).tensors.map(\.name) == ["a", "b"])
        let set = try SafetensorsSet(opening: path)
        #expect(set.layout.indexName == nil)
        #expect(set.layout.shards.map(\.fileName) == ["model.safetensors"])
        #expect(set["b"]?.tensor.byteRange == 1..<2)
        #expect(set["c"] == nil)
    }

    @Test func `shards keep the order of their names and data, and unlisted files are left alone`() throws {
        try write("m-2.safetensors", tensors: ["b"])
        try write("m-1.safetensors", tensors: ["c", "a"])
        try write("old.safetensors", tensors: ["a"])
        try writeIndex(#""a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors""#)
        for place in [path, FilePath(index)] {
            let set = try SafetensorsSet(opening: place)
            #expect(set.layout.shards.map(\.fileName) == ["m-1.safetensors", "m-2.safetensors"])
            #expect(set.tensors.map(\.name) == ["c", "a", "b"])
            #expect(set.layout.indexName == "model.safetensors.index.json")
            var bytes: [UInt8] = [9]
            var span = bytes.mutableSpan
            var raw = span.mutableBytes
            try set.read("a", into: &raw)
            #expect(bytes == [1])
        }
    }

    @Test func `everything that is wrong with a set is said at once`() throws {
        try write("m-1.safetensors", tensors: ["a", "x", "c"])
        try write("m-2.safetensors", tensors: ["c"])
        try directory.write(Array("version https://git-lfs.github.com/spec/v1\nsize 7\n".utf8), to: "m-4.safetensors")
        try writeIndex(
            #""a":"m-1.safetensors","b":"m-1.safetensors","c":"m-2.safetensors","d":"m-3.safetensors","e":"m-4.safetensors""#
        )
        #expect(
            openError() == """
                \(index): places tensor "b" in "m-1.safetensors", which does not hold it. \
                Index and shards are not of one set; copy or download them again.
                \(index): does not name tensor "x" of "m-1.safetensors"; expected every tensor of every shard.
                \(index): places tensor "c" in "m-2.safetensors", but "m-1.safetensors" holds one of that name too; \
                expected every tensor once.
                \(directory.path)/m-4.safetensors: is a git-LFS pointer to 7 bytes, not the data itself; expected a \
                safetensors file. Run `git lfs pull` where it was cloned, or download the file.
                \(index): places 1 tensor in "m-3.safetensors", which does not exist. Copy or download the shard.
                """
        )
    }

    @Test func `many disagreements of one kind are one sentence`() throws {
        let names = (0..<200).map { "t\($0)" }
        try write("m-1.safetensors", tensors: names.map { "other.\($0)" })
        try writeIndex(
            names.map { "\"\($0)\":\"m-1.safetensors\"" }.joined(separator: ",")
                + (0..<50).map { ",\"l\($0)\":\"lost-\($0).safetensors\"" }.joined())
        let lines = try #require(openError()).split(separator: "\n")
        #expect(lines.count == 3)
        #expect(
            lines.first
                == """
                \(index): places 200 tensors ("t0", "t1", "t2", "t3" and 196 more) in "m-1.safetensors", which does not \
                hold them. Index and shards are not of one set; copy or download them again.
                """)
        #expect(
            lines.last
                == """
                \(index): 50 of its 51 shards do not exist: "lost-0.safetensors", "lost-1.safetensors", \
                "lost-10.safetensors", "lost-11.safetensors" and 46 more. Copy or download them.
                """)
    }

    @Test func `a tensor that the index names twice is refused`() throws {
        try writeIndex(#""a":"m-1.safetensors","a":"m-2.safetensors""#)
        #expect(openError() == "\(index): an object names \"a\" twice; expected every key once.")
    }

    @Test func `a shard outside the directory is refused`() throws {
        try writeIndex(#""a":"../m.safetensors","b":"..""#)
        #expect(
            openError() == """
                \(index): places tensor "a" in "../m.safetensors"; expected the name of a file in the same directory.
                \(index): places tensor "b" in ".."; expected the name of a file in the same directory.
                """
        )
    }

    @Test func `an index without a weight map is refused`() throws {
        try directory.write(Array(#"{"weight_map":[]}"#.utf8), to: "model.safetensors.index.json")
        #expect(
            openError() == "\(index): \"weight_map\" is missing or of another kind; expected an object of file names."
        )
    }

    @Test func `an index that is a git-LFS pointer is recognised`() throws {
        let text = "version https://git-lfs.github.com/spec/v1\nsize 7\n"
        try directory.write(Array(text.utf8), to: "model.safetensors.index.json")
        #expect(
            openError()
                == "\(index): is a git-LFS pointer to 7 bytes, not the data itself; expected a safetensors file. "
                + "Run `git lfs pull` where it was cloned, or download the file."
        )
    }

    @Test func `an empty directory is refused`() {
        #expect(
            openError() == "\(path): holds no safetensors file; expected \"model.safetensors\" or a "
                + "\"*.safetensors.index.json\"."
        )
    }

    @Test func `shards without an index are refused`() throws {
        try write("m-1.safetensors", tensors: ["a"])
        try write("m-2.safetensors", tensors: ["b"])
        #expect(
            openError() == "\(path): holds \"m-1.safetensors\", \"m-2.safetensors\" without a "
                + "\"*.safetensors.index.json\"; expected the index that says how they belong together."
        )
    }

    @Test func `a whole model beside an index is refused as ambiguous`() throws {
        try write("model.safetensors", tensors: ["a"])
        try write("m-1.safetensors", tensors: ["a"])
        try writeIndex(#""a":"m-1.safetensors""#)
        #expect(
            openError()
                == "\(path): holds \"model.safetensors.index.json\", \"model.safetensors\"; expected one of them. "
                + "Name the file itself, or move the others away."
        )
    }
}
