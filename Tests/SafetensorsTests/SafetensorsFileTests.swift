import FileAccess
import Foundation
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Reading from an open file.
struct SafetensorsFileTests {
    private let directory: TemporaryDirectory
    private let path: FilePath

    init() throws {
        directory = try TemporaryDirectory()
        let text =
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U16","shape":[2,2],"data_offsets":[4,12]}}"#
        path = FilePath(try directory.write(fileBytes(text, dataByteCount: 12), to: "x.safetensors"))
    }

    @Test func `a part of a tensor is read at its place`() throws {
        let file = try SafetensorsFile(opening: path)
        var bytes = [UInt8](repeating: 0xEE, count: 3)
        do {
            var span = bytes.mutableSpan
            var raw = span.mutableBytes
            try file.read("b", at: 2, into: &raw)
        }
        #expect(bytes == [6, 7, 8])
        #expect(try file.bytes(of: "a", count: 4) == [0, 1, 2, 3])
        #expect(try file.bytes(of: "b", at: 8, count: 0) == [])
        let range = try file.fileRange(of: "b", at: 2, count: 3)
        #expect(range == file.header.dataOffset + 6..<file.header.dataOffset + 9)
    }

    @Test func `a range outside the tensor is refused`() throws {
        let file = try SafetensorsFile(opening: path)
        #expect(
            errorMessage { () throws(SafetensorsError) in _ = try file.bytes(of: "a", at: 2, count: 3) }
                == "\(path): tensor \"a\" has 4 bytes; 3 bytes from byte 2 on are not all in it."
        )
        #expect(
            errorMessage { () throws(SafetensorsError) in _ = try file.bytes(of: "a", at: .max, count: .max) }
                == "\(path): tensor \"a\" has 4 bytes; \(Int.max) bytes from byte \(Int.max) on are not all in it."
        )
    }

    @Test func `an unknown tensor is refused`() throws {
        let file = try SafetensorsFile(opening: path)
        #expect(
            errorMessage { () throws(SafetensorsError) in _ = try file.tensor("c") }
                == "\(path): tensor \"c\" is not in the file."
        )
    }

    @Test func `a file that is cut while open is truncated`() throws {
        let file = try SafetensorsFile(opening: path)
        let size = file.identity.byteCount
        truncate(path.string, size - 2)
        #expect(
            errorMessage { () throws(SafetensorsError) in _ = try file.bytes(of: "b", count: 8) }
                == "\(path): is truncated: it has \(size - 2) bytes; expected \(size). Copy or download it again."
        )
        #expect(
            errorMessage { () throws(SafetensorsError) in try file.requireUnchanged() }
                == "\(path): changed after it was opened; expected it to stay as it was. Submit the job again."
        )
    }

    @Test func `the identity is that of the header and the file`() throws {
        let file = try SafetensorsFile(opening: path)
        let again = try SafetensorsFile(opening: path)
        #expect(file.identity == again.identity)
        let bytes = try directory.read("x.safetensors")
        #expect(file.identity.byteCount == bytes.count)
        #expect(file.identity.headerDigest == FileDigest.sha256(of: Array(bytes.dropLast(12))))
        try file.requireUnchanged()
    }

    @Test func `a missing file is named with the kernel's reason`() {
        #expect(
            errorMessage { () throws(SafetensorsError) in _ = try SafetensorsFile(opening: "/nowhere/x.safetensors") }
                == "/nowhere/x.safetensors: open failed: there is no such file or directory. Correct the path."
        )
    }

    @Test func `a directory and a pipe are no regular files`() throws {
        let pipe = directory.appending("pipe")
        mkfifo(pipe, 0o600)
        for (path, kind) in [(directory.path, "a directory"), (pipe, "a pipe")] {
            #expect(
                errorMessage { () throws(SafetensorsError) in _ = try SafetensorsFile(opening: FilePath(path)) }
                    == "\(path): is \(kind), not a regular file. Correct the path."
            )
        }
    }

    @Test func `a tensor's digest is that of its bytes`() throws {
        let file = try SafetensorsFile(opening: path)
        #expect(try file.sha256(of: "b") == FileDigest.sha256(of: Array(4..<12)))
    }

    @Test func `bytes at a place of the file are read, and beyond its end refused`() throws {
        let file = try SafetensorsFile(opening: path)
        let size = file.identity.byteCount
        #expect(
            errorMessage { () throws(SafetensorsError) in
                var bytes: [UInt8] = [0, 0]
                var span = bytes.mutableSpan
                var raw = span.mutableBytes
                try file.read(fromFileOffset: size - 1, into: &raw)
            } == "\(path): is truncated: it has \(size) bytes; expected \(size + 1). Copy or download it again."
        )
    }
}
