import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Writing sets of files.
struct ShardedSafetensorsWriterTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func tensor(_ name: String, _ byteCount: Int) -> TensorDescription {
        TensorDescription(name: name, dataType: .uint8, shape: [byteCount])
    }

    @Test func `shards are filled greedily and a large tensor has one of its own`() {
        let layout = ShardLayout(
            tensors: [tensor("a", 4), tensor("b", 4), tensor("c", 3), tensor("d", 99), tensor("e", 1)],
            shardByteLimit: 8
        )
        #expect(layout.shards.map { $0.tensors.map(\.name) } == [["a", "b"], ["c"], ["d"], ["e"]])
        #expect(layout.shards[1].fileName == "model-00002-of-00004.safetensors")
        #expect(layout.indexName == "model.safetensors.index.json")
    }

    @Test func `a set of one file has neither number nor index`() {
        let layout = ShardLayout(tensors: [tensor("a", 4)], stem: "factors", shardByteLimit: 8)
        #expect(layout.shards.map(\.fileName) == ["factors.safetensors"])
        #expect(layout.indexName == nil)
    }

    @Test func `a written set has an index and is read back in the same layout`() throws {
        let layout = ShardLayout(tensors: [tensor("b", 4), tensor("a", 4), tensor("c", 3)], shardByteLimit: 8)
        let writer = try ShardedSafetensorsWriter(
            directory: FilePath(directory.path),
            layout: layout,
            metadata: ["k": "v"]
        )
        for (name, bytes) in [("c", [9, 9, 9]), ("a", [5, 6, 7, 8]), ("b", [1, 2, 3, 4])] as [(String, [UInt8])] {
            try writer.write(bytes.span.bytes, to: name)
        }
        #expect(try directory.names().allSatisfy { $0.hasPrefix(".") })
        try writer.finish()
        #expect(
            try String(decoding: directory.read("model.safetensors.index.json"), as: UTF8.self) == """
                {
                  "metadata": {
                    "total_size": 11
                  },
                  "weight_map": {
                    "a": "model-00001-of-00002.safetensors",
                    "b": "model-00001-of-00002.safetensors",
                    "c": "model-00002-of-00002.safetensors"
                  }
                }

                """
        )
        let set = try SafetensorsSet(opening: FilePath(directory.path))
        #expect(set.layout == layout)
        #expect(set.metadata == ["k": "v"])
        #expect(try set.files[0].bytes(of: "a", count: 4) == [5, 6, 7, 8])
    }

    @Test func `no file of an incomplete set is published and every lacking tensor is named`() throws {
        let layout = ShardLayout(tensors: [tensor("a", 1), tensor("b", 8), tensor("c", 8)], shardByteLimit: 8)
        let writer = try ShardedSafetensorsWriter(directory: FilePath(directory.path), layout: layout)
        let bytes: [UInt8] = [1]
        try writer.write(bytes.span.bytes, to: "a")
        #expect(
            errorMessage { () throws(SafetensorsError) in try writer.finish() } == """
                \(directory.path)/model-00002-of-00003.safetensors: tensor "b" was given 0 bytes; expected 8. \
                The file was not published.
                \(directory.path)/model-00003-of-00003.safetensors: tensor "c" was given 0 bytes; expected 8. \
                The file was not published.
                """
        )
        #expect(try directory.names().allSatisfy { $0.hasPrefix(".") })
    }

    @Test func `a dropped set leaves nothing behind`() throws {
        do {
            let layout = ShardLayout(tensors: [tensor("b", 4), tensor("a", 9)], shardByteLimit: 8)
            let writer = try ShardedSafetensorsWriter(directory: FilePath(directory.path), layout: layout)
            #expect(writer.layout.shards.count == 2)
            #expect(try directory.names().count == 2)
        }
        #expect(try directory.names() == [])
    }

    @Test func `a tensor in two shards is refused`() {
        let layout = ShardLayout(
            shards: [
                .init(fileName: "1.safetensors", tensors: [tensor("a", 1)]),
                .init(fileName: "2.safetensors", tensors: [tensor("a", 1)]),
            ],
            indexName: nil
        )
        #expect(
            errorMessage { () throws(SafetensorsError) in
                _ = try ShardedSafetensorsWriter(directory: FilePath(directory.path), layout: layout)
            } == "\(directory.path): names \"a\" twice; expected every file and every tensor once."
        )
    }
}
