import FileAccess
import Hashing
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Files into which other processes write too.
struct StagedFileTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.appending("f.safetensors")) }
    private let tensors = [
        TensorDescription(name: "a", dataType: .uint8, shape: [3]),
        TensorDescription(name: "b", dataType: .uint8, shape: [2]),
    ]

    init() throws { directory = try TemporaryDirectory() }

    private func writer(
        metadata: [String: String] = ["k": "1"], draft: [String: String] = ["k": "longest"]
    ) throws -> SafetensorsWriter {
        try SafetensorsWriter(staged: path, tensors: tensors, metadata: metadata, draft: draft)
    }

    /// Writes as another process does, which knows the place only.
    private func write(_ bytes: [UInt8], at offset: Int, _ writer: SafetensorsWriter) throws {
        let identity = try #require(writer.stagedIdentity)
        let file = try OpenedFile<FileError>(changing: identity.path, within: .unlimited)
        try file.write(bytes.span.bytes, at: offset)
    }

    private func checksum(of bytes: [UInt8]) -> Checksum {
        var checksum = RunningChecksum()
        checksum.update(bytes.span.bytes)
        return checksum.value
    }

    @Test func `a tensor that another process wrote is in the finished file`() throws {
        let first = try writer()
        #expect(!first.isContinued)
        try write([7, 8], at: try #require(first.fileOffset(of: "b")), first)
        try first.write(([1, 2, 3] as [UInt8]).span.bytes, to: "a")
        try first.noteWritten("b", checksum(of: [7, 8]))
        #expect(try first.prove() == [])
        try first.finish()
        #expect(try directory.names() == ["f.safetensors"])
        #expect(first.finished?.digest == (try FileDigest.sha256(ofFileAt: path)))
        let file = try SafetensorsFile(opening: path)
        #expect(try file.bytes(of: "a", count: 3) == [1, 2, 3])
        #expect(try file.bytes(of: "b", count: 2) == [7, 8])
        #expect(file.header.metadata == ["k": "1"])
        #expect(try file.bytes(of: "b", count: 2) == [7, 8])
    }

    @Test func `another writer goes on with what was written`() throws {
        try writer().write(([1, 2, 3] as [UInt8]).span.bytes, to: "a")
        #expect(try directory.names() == [".f.safetensors.staged"])
        let second = try writer(metadata: ["k": "2"])
        #expect(second.isContinued)
        try second.noteWritten("a", checksum(of: [1, 2, 3]))
        try second.write(([4, 5] as [UInt8]).span.bytes, to: "b")
        try second.finish()
        #expect(try SafetensorsFile(opening: path).header.metadata == ["k": "2"])
    }

    @Test func `a file that had its name when its process ended goes on too`() throws {
        let first = try writer()
        for (name, bytes) in [("a", [1, 2, 3]), ("b", [4, 5])] as [(String, [UInt8])] {
            try first.write(bytes.span.bytes, to: name)
        }
        try first.finish()
        let second = try writer()
        #expect(second.isContinued)
        #expect(try directory.names() == [".f.safetensors.staged"])
        try second.noteWritten("a", checksum(of: [1, 2, 3]))
        try second.noteWritten("b", checksum(of: [4, 5]))
        try second.finish()
        #expect(try SafetensorsFile(opening: path).bytes(of: "b", count: 2) == [4, 5])
    }

    @Test func `a file of other tensors is begun anew`() throws {
        try writer().write(([1, 2, 3] as [UInt8]).span.bytes, to: "a")
        let other = [TensorDescription(name: "c", dataType: .uint8, shape: [5])]
        let second = try SafetensorsWriter(staged: path, tensors: other, metadata: [:], draft: ["k": "longest"])
        #expect(!second.isContinued)
        let identity = try #require(second.stagedIdentity)
        #expect(try SafetensorsFile(opening: identity.path).bytes(of: "c", count: 5) == [0, 0, 0, 0, 0])
    }

    @Test func `a tensor that nobody wrote keeps the file from being finished`() throws {
        let first = try writer()
        let none = checksum(of: [0, 0])
        try first.noteWritten("b", none)
        #expect(throws: SafetensorsError.self) { try first.finish() }
        #expect(throws: SafetensorsError.self) { try first.noteWritten("b", none) }
        #expect(throws: SafetensorsError.self) { try first.noteWritten("c", none) }
        #expect(try directory.names() == [".f.safetensors.staged"])
    }

    @Test func `a tensor that differs from its checksum keeps the file open, until it is written`() throws {
        let first = try writer()
        try write([1, 2, 3, 7, 9], at: try #require(first.fileOffset(of: "a")), first)
        try first.noteWritten("a", checksum(of: [1, 2, 3]))
        try first.noteWritten("b", checksum(of: [7, 8]))
        #expect(try first.prove() == ["b"])
        #expect(throws: SafetensorsError.self) { try first.finish() }
        try first.write(([7, 8] as [UInt8]).span.bytes, to: "b")
        try first.finish()
        #expect(try SafetensorsFile(opening: path).bytes(of: "b", count: 2) == [7, 8])
    }

    @Test func `metadata must fit the room of its draft`() throws {
        #expect(throws: SafetensorsError.self) {
            try writer(metadata: ["k": String(repeating: "x", count: 200)])
        }
    }

    @Test func `the identity is that of the file until it is finished`() throws {
        let identity = try #require(try writer().stagedIdentity)
        let file = try SafetensorsFile(opening: identity.path)
        #expect(file.identity.headerDigest == identity.headerDigest)
        #expect(file.identity.byteCount == identity.byteCount)
    }
}
