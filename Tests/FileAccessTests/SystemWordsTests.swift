import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing

@Suite struct SystemWordsTests {
    @Test func `an error of Foundation is told by its path and what the system said`() throws {
        let directory = try TemporaryDirectory()
        let missing = directory.appending("missing")
        let error = #expect(throws: (any Error).self) { try Data(contentsOf: URL(fileURLWithPath: missing)) }
        let text = SystemWords.text(of: try #require(error))
        #expect(text == "\(missing): there is no such file or directory")
        let below = directory.appending("file/below")
        try directory.write([], to: "file")
        let other = #expect(throws: (any Error).self) {
            try FileManager.default.createDirectory(atPath: below, withIntermediateDirectories: true)
        }
        let words = SystemWords.text(of: try #require(other))
        #expect(words.hasPrefix(directory.path) && !words.contains("Domain") && !words.contains("Code="), "\(words)")
    }

    @Test(arguments: [
        (Errno.noSpace, "no space is left on the disk", "Make room, or name another place with --x."),
        (
            .permissionDenied, "this user may not do that (permission denied)",
            "Give this user the right, or name another place with --x."
        ),
        (
            .tooManyOpenFiles, "this process has too many files open",
            DescriptorLimit.remedy
        ),
        (.readOnlyFileSystem, "the file system is read-only", "Name another place with --x, or mount it for writing."),
        (.noSuchFileOrDirectory, "there is no such file or directory", "Make it, or correct --x."),
        (
            .fileTooLarge, "the file would be larger than this process, or the file system, may make it",
            "Raise the limit of file sizes (ulimit -f, LimitFSIZE), or name another place with --x."
        ),
    ])
    func `what the system reports has words and a remedy`(code: Errno, words: String, remedy: String) {
        let error = FileAccessError("/a/b", "the directory cannot be made", code, setting: "--x")
        #expect(error.description == "/a/b: the directory cannot be made: \(words). \(remedy)")
    }

    @Test func `a type's own sentence stays`() {
        let error = FileRootsError.callFailed(path: "/x", call: "open", code: .ioError)
        #expect(SystemWords.text(of: error) == error.description)
        #expect(SystemWords.text(of: CancellationError()) == "it was interrupted")
        let decoding = #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([Int].self, from: Data("[1,\"a\"]".utf8))
        }
        #expect(decoding.map { SystemWords.text(of: $0) } == "entry 2 holds a value of another type")
    }
}
