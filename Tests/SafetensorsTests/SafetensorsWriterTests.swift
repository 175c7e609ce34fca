import FileAccess
import Foundation
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Writing one file.
struct SafetensorsWriterTests {
    private let directory: TemporaryDirectory
    private let path: FilePath
    private let tensors = [
        TensorDescription(name: "w", dataType: .float32, shape: [2, 2]),
        TensorDescription(name: "empty", dataType: .float32, shape: [0, 3]),
        TensorDescription(name: "é\"", dataType: .uint8, shape: [3]),
    ]

    init() throws {
        directory = try TemporaryDirectory()
        path = FilePath(directory.appending("x.safetensors"))
    }

    private func write(_ bytes: [UInt8], _ writer: SafetensorsWriter, _ name: String, at offset: Int = 0) -> String? {
        errorMessage { () throws(SafetensorsError) in try writer.write(bytes.span.bytes, to: name, at: offset) }
    }

    @Test func `what is written in any order is read back`() throws {
        let writer = try SafetensorsWriter(path: path, tensors: tensors, metadata: ["z": "1", "a": "\n"])
        #expect(write([8, 9], writer, "w", at: 8) == nil)
        #expect(write([1, 2, 3], writer, "é\"") == nil)
        #expect(write(Array(10..<16), writer, "w", at: 10) == nil)
        #expect(write(Array(0..<8), writer, "w") == nil)
        #expect(try directory.names().filter { !$0.hasPrefix(".") } == [])
        try writer.finish()
        #expect(try directory.names() == ["x.safetensors"])
        let file = try SafetensorsFile(opening: path)
        #expect(file.header.metadata == ["z": "1", "a": "\n"])
        #expect(file.header.tensors.map(\.description) == tensors)
        #expect(try file.bytes(of: "w", count: 16) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
        #expect(try file.bytes(of: "é\"", count: 3) == [1, 2, 3])
    }

    @Test func `the bytes are those that the format prescribes`() throws {
        let writer = try SafetensorsWriter(
            path: path,
            tensors: [TensorDescription(name: "a", dataType: .uint8, shape: [2])],
            metadata: ["b": "2", "a": "1"]
        )
        #expect(write([7, 8], writer, "a") == nil)
        try writer.finish()
        let text = #"{"__metadata__":{"a":"1","b":"2"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#
        let padding = String(repeating: " ", count: (8 - text.utf8.count % 8) % 8)
        #expect(try directory.read("x.safetensors") == fileBytes(text + padding) + [7, 8])
    }

    @Test(arguments: [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
    func `the digest of a hashed file is that of its bytes, and names the object without its name`(
        order: [Int]
    ) throws {
        let size = 9 << 20
        let tensors = "abc".map { TensorDescription(name: String($0), dataType: .uint8, shape: [size]) }
        let writer = try SafetensorsWriter(path: path, tensors: tensors, isHashed: true)
        for index in order {
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: ($0 + index) &* 31 >> 3) }
            // The digest follows whole tensors, whatever the order of their parts.
            #expect(write(Array(bytes[(size / 2)...]), writer, tensors[index].name, at: size / 2) == nil)
            #expect(write(Array(bytes[..<(size / 2)]), writer, tensors[index].name) == nil)
        }
        #expect(writer.finished == nil)
        try writer.finish()
        let finished = try #require(writer.finished)
        #expect(finished.path == path)
        #expect(try finished.digest == FileDigest.sha256(of: directory.read("x.safetensors")))
        #expect(finished.status.isThat(of: try #require(FileStatus(of: path))))
    }

    @Test func `a file that is not hashed has no digest`() throws {
        let writer = try SafetensorsWriter(path: path, tensors: [])
        try writer.finish()
        #expect(writer.finished == nil)
    }

    @Test func `a dropped writer leaves nothing behind`() throws {
        do {
            let writer = try SafetensorsWriter(path: path, tensors: tensors)
            #expect(write([1, 2, 3], writer, "é\"") == nil)
            #expect(try directory.names().count == 1)
        }
        #expect(try directory.names() == [])
    }

    @Test func `a file of that name stays until the new one is finished`() throws {
        try directory.write([1, 2, 3], to: "x.safetensors")
        let writer = try SafetensorsWriter(path: path, tensors: [])
        #expect(try directory.read("x.safetensors") == [1, 2, 3])
        try writer.finish()
        #expect(try directory.read("x.safetensors") == fileBytes("{}      "))
    }

    @Test func `an incomplete file is not published and every lacking tensor is named`() throws {
        let writer = try SafetensorsWriter(path: path, tensors: tensors)
        #expect(write([1, 2], writer, "é\"") == nil)
        #expect(
            errorMessage { () throws(SafetensorsError) in try writer.finish() } == """
                \(path): tensor "w" was given 0 bytes; expected 16. The file was not published.
                \(path): tensor "é"" was given 2 bytes; expected 3. The file was not published.
                """
        )
        #expect(try directory.names().filter { !$0.hasPrefix(".") } == [])
        #expect(write([3], writer, "é\"", at: 2) == nil)
        #expect(write(Array(0..<16), writer, "w") == nil)
        try writer.finish()
        #expect(try directory.names() == ["x.safetensors"])
    }

    @Test func `a byte that is written twice is refused`() throws {
        let writer = try SafetensorsWriter(path: path, tensors: tensors)
        #expect(write([1, 2, 3, 4], writer, "w", at: 4) == nil)
        #expect(
            write([1, 2], writer, "w", at: 7)
                == "\(path): tensor \"w\" was given 2 bytes at byte 7, some of which were written before; "
                + "expected each byte once."
        )
        #expect(write([1, 2], writer, "w", at: 3) != nil)
        #expect(write([1, 2, 3, 4, 5, 6], writer, "w", at: 3) != nil)
        #expect(write([1, 2, 3, 4], writer, "w", at: 0) == nil)
    }

    @Test func `bytes outside a tensor are refused`() throws {
        let writer = try SafetensorsWriter(path: path, tensors: tensors)
        #expect(
            write([1, 2, 3], writer, "é\"", at: 1)
                == "\(path): tensor \"é\"\" has 3 bytes; 3 bytes at byte 1 do not fit and were not written."
        )
        #expect(write([1], writer, "w", at: -1) != nil)
        #expect(write([1], writer, "w", at: .max) != nil)
    }

    @Test func `an unannounced tensor is refused`() throws {
        let writer = try SafetensorsWriter(path: path, tensors: tensors)
        #expect(
            write([1], writer, "v")
                == "\(path): tensor \"v\" was not announced when the file was begun; nothing was written."
        )
    }

    @Test func `a write after the end is refused`() throws {
        let writer = try SafetensorsWriter(path: path, tensors: [tensors[2]])
        #expect(write([1, 2, 3], writer, "é\"") == nil)
        try writer.finish()
        #expect(
            write([1], writer, "é\"")
                == "\(path): tensor \"é\"\" was given bytes after the file was finished; nothing was written."
        )
    }

    @Test(arguments: ["a", "__metadata__"])
    func `names that cannot be are refused`(name: String) {
        let tensors = ["a", name].map { TensorDescription(name: $0, dataType: .uint8, shape: [1]) }
        #expect(
            errorMessage { () throws(SafetensorsError) in _ = try SafetensorsWriter(path: path, tensors: tensors) }
                == "\(path): tensor \"\(name)\" was announced, but the name is taken; expected distinct names other than "
                + "__metadata__."
        )
    }

    @Test(arguments: [[-1], [Int.max, 2], [Int.max / 8]])
    func `sizes that cannot be counted are refused`(shape: [Int]) {
        let tensor = TensorDescription(name: "a", dataType: .float64, shape: shape)
        #expect(
            errorMessage { () throws(SafetensorsError) in _ = try SafetensorsWriter(path: path, tensors: [tensor]) }
                == "\(path): tensor \"a\" was announced as F64 \(shape), which is not a countable whole number of bytes."
        )
    }

    @Test func `leftovers of a crash are removed and files being written are kept`() throws {
        let writer = try SafetensorsWriter(path: path, tensors: tensors)
        try directory.write([1], to: ".x.safetensors.0123456789abcdef.partial")
        try directory.write([1], to: ".hidden")
        let removed = try WholeFile.removeStalePartials(in: FilePath(directory.path))
        #expect(removed == [".x.safetensors.0123456789abcdef.partial"])
        #expect(try directory.names().count == 2)
        #expect(write([1, 2, 3], writer, "é\"") == nil)
    }

    @Test func `many threads may write at once`() async throws {
        let tensor = TensorDescription(name: "t", dataType: .uint8, shape: [64, 1000])
        let writer = try SafetensorsWriter(path: path, tensors: [tensor])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for row in 0..<64 {
                group.addTask {
                    let bytes = [UInt8](repeating: UInt8(row), count: 1000)
                    try writer.write(bytes.span.bytes, to: "t", at: row * 1000)
                }
            }
            try await group.waitForAll()
        }
        try writer.finish()
        let bytes = try SafetensorsFile(opening: path).bytes(of: "t", count: 64_000)
        #expect(bytes == (0..<64).flatMap { [UInt8](repeating: UInt8($0), count: 1000) })
    }
}
