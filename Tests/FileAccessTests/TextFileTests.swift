import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing

/// Texts that people write, and other files in their place.
@Suite struct TextFileTests {
    @Test func `a file of the kernel is read, though it states no size`() throws {
        let text = try #require(TextFile.ofKernel("/proc/self/stat"))
        #expect(text.hasPrefix("\(ProcessInfo.processInfo.processIdentifier) ("))
        #expect(TextFile.ofKernel("/proc/self/none") == nil)
        #expect(TextFile.ofKernel("/proc/self") == nil)
    }

    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func path(_ name: String) -> FilePath { FilePath(directory.appending(name)) }

    @Test func `a text up to the limit is read whole`() throws {
        try directory.write(Array("größe".utf8), to: "file")
        #expect(try TextFile.read(path("file"), limit: 7) == "größe")
        #expect(throws: TextFileError.tooLarge(path: path("file"), byteCount: 7, limit: 6)) {
            try TextFile.read(path("file"), limit: 6)
        }
    }

    @Test func `a file of a gigabyte is refused before it is read`() throws {
        try directory.write([], to: "large")
        try #require(truncate(path("large").string, 1 << 30) == 0)
        #expect(throws: TextFileError.tooLarge(path: path("large"), byteCount: 1 << 30, limit: 1000)) {
            try TextFile.read(path("large"), limit: 1000)
        }
    }

    @Test func `a device that never ends is read up to the limit`() {
        #expect(throws: TextFileError.tooLarge(path: "/dev/zero", byteCount: nil, limit: 1000)) {
            try TextFile.read("/dev/zero", limit: 1000)
        }
    }

    @Test func `what is missing, a directory, or no text is an error of its own`() throws {
        try directory.write([0xFF, 0xFE], to: "bytes")
        #expect(throws: TextFileError.notText(path: path("bytes"))) { try TextFile.read(path("bytes"), limit: 10) }
        #expect(throws: TextFileError.unreadable(path: path("no"), code: .noSuchFileOrDirectory)) {
            try TextFile.read(path("no"), limit: 10)
        }
        #expect(throws: TextFileError.unreadable(path: path(""), code: .isDirectory)) {
            try TextFile.read(path(""), limit: 10)
        }
    }

    @Test func `the messages say what to do`() {
        #expect(
            TextFileError.tooLarge(path: "/x", byteCount: nil, limit: 9).description
                == "/x: has more than 9 bytes; at most 9 are allowed for such a file. Is it the right one?")
        #expect(
            TextFileError.unreadable(path: "/x", code: .tooManyOpenFiles).description
                == "/x: cannot be read: this process has too many files open. " + DescriptorLimit.remedy)
    }
}
