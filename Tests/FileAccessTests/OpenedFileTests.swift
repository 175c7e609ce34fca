import FileAccess
import SystemPackage
import TestSupport
import Testing

struct OpenedFileTests {
    private struct Failure: FileFailure, Equatable {
        let error: FileError

        init(_ error: FileError) { self.error = error }
    }

    private func file(_ name: String, in directory: TemporaryDirectory) throws -> OpenedFile<Failure> {
        let path = FilePath(directory.path).appending(name)
        let descriptor = try FileDescriptor.open(
            path, .readWrite, options: [.create, .closeOnExec], permissions: [.ownerReadWrite])
        return OpenedFile(taking: descriptor.rawValue, path: path)
    }

    @Test func `what was written is read, and only the end of the file makes a reading short`() throws {
        let directory = try TemporaryDirectory()
        let file = try file("bytes", in: directory)
        let bytes: [UInt8] = [1, 2, 3, 4, 5]
        try file.write(bytes.span.bytes, at: 2)
        try file.synchronize()
        #expect(try file.byteCount() == 7)
        #expect(try file.bytes(at: 1, count: 4) == [0, 1, 2, 3])
        #expect(try file.bytes(at: 5, count: 10) == [4, 5])
        try file.resize(to: 3)
        #expect(try file.bytes(at: 0, count: 10) == [0, 0, 1])
    }

    @Test func `a range is read in blocks, up to its end, the file's end, or the caller's wish`() throws {
        let directory = try TemporaryDirectory()
        let file = try file("bytes", in: directory)
        let bytes = (0..<(1 << 20) + 5).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
        try file.write(bytes.span.bytes, at: 0)
        func blocks(_ range: Range<Int>, most: Int = .max) throws -> (offsets: [Int], bytes: [UInt8], end: Int) {
            var (offsets, read): ([Int], [UInt8]) = ([], [])
            let end = try file.forEachBlock(in: range) { (block, offset) throws(Failure) in
                offsets.append(offset)
                block.withUnsafeBytes { read += $0 }
                return offsets.count < most
            }
            return (offsets, read, end)
        }
        let whole = try blocks(0..<Int.max)
        #expect(whole.offsets == [0, 1 << 20] && whole.bytes == bytes && whole.end == bytes.count)
        let part = try blocks(3..<(1 << 20) + 4)
        #expect(part.offsets == [3, (1 << 20) + 3] && part.bytes == Array(bytes[3..<(1 << 20) + 4]))
        #expect(part.end == (1 << 20) + 4)
        let stopped = try blocks(0..<Int.max, most: 1)
        #expect(stopped.offsets == [0] && stopped.end == 1 << 20)
        #expect(try blocks(7..<7).offsets == [] && blocks(bytes.count..<bytes.count + 9).end == bytes.count)
    }

    @Test func `a failure carries the call, the path and the reason in the words of the module that asked`() throws {
        let directory = try TemporaryDirectory()
        let path = FilePath(directory.path).appending("missing")
        #expect(throws: Failure(call: "open", path: path, code: .noSuchFileOrDirectory)) {
            _ = try OpenedFile<Failure>(opening: path, flags: 0)
        }
        let closed = OpenedFile<Failure>(taking: -1, path: path)
        #expect(throws: Failure(call: "fsync", path: path, code: .badFileDescriptor)) { try closed.synchronize() }
        #expect(throws: Failure(call: "flock", path: path, code: .badFileDescriptor)) {
            _ = try closed.lockExclusively()
        }
        #expect(throws: Errno.noSuchFileOrDirectory) { try FileDescriptor.synchronize(directory: path) }
        try FileDescriptor.synchronize(directory: FilePath(directory.path))
    }

    @Test func `a file is locked by one open descriptor at a time`() throws {
        let directory = try TemporaryDirectory()
        let first = try file("lock", in: directory)
        let second = try file("lock", in: directory)
        #expect(try first.lockExclusively())
        #expect(try !second.lockExclusively())
    }
}
