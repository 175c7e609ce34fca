import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing

/// Predictions of whether a write can succeed.
struct WriteAccessTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.path) }

    init() throws { directory = try TemporaryDirectory() }

    @Test func `a place that can be written to has no obstacle, whether it is there or not`() throws {
        try directory.write([], to: "file")
        #expect(WriteAccess.obstacle(toWritingIn: path) == nil)
        #expect(WriteAccess.obstacle(toUsing: path) == nil)
        #expect(WriteAccess.obstacle(toUsing: path.appending("a").appending("b"), for: ["c/d"]) == nil)
        #expect(WriteAccess.obstacle(toWritingFile: path.appending("file")) == nil)
        #expect(WriteAccess.obstacle(toWritingFile: path.appending("new").appending("file")) == nil)
        #expect(try directory.names() == ["file"], "asking changes nothing")
    }

    @Test func `a file in the place of a directory, and the other way round, are named`() throws {
        try directory.write([], to: "file")
        let file = path.appending("file")
        for place in [file, file.appending("x"), file.appending("x").appending("y")] {
            #expect(WriteAccess.obstacle(toUsing: place) == .noDirectory(path: file))
        }
        #expect(WriteAccess.obstacle(toWritingFile: path) == .isDirectory(path: path))
    }

    @Test func `links that lead nowhere or in a circle are named`() throws {
        let (dangling, loop) = (path.appending("dangling"), path.appending("loop"))
        try FileManager.default.createSymbolicLink(atPath: dangling.string, withDestinationPath: "nowhere")
        try FileManager.default.createSymbolicLink(atPath: loop.string, withDestinationPath: "loop")
        for place in [dangling, dangling.appending("below")] {
            #expect(WriteAccess.obstacle(toUsing: place) == .danglingLink(path: dangling, target: "nowhere"))
        }
        for place in [loop, loop.appending("below")] {
            #expect(WriteAccess.obstacle(toUsing: place) == .refused(path: place, code: .tooManySymbolicLinkLevels))
        }
    }

    @Test func `names count in bytes, with what a file is called while it is written`() {
        let name = String(repeating: "ä", count: 120)
        #expect(WriteAccess.obstacle(toUsing: path.appending(name)) == nil)
        #expect(
            WriteAccess.obstacle(toWritingFile: path.appending(name))
                == .nameTooLong(name: WriteAccess.temporaryName(of: name), byteCount: 240 + 26, limit: 255))
    }

    @Test func `room is compared as a sum that does not overflow`() {
        // Each file takes a whole block, even an empty one.
        let many = Array(repeating: PlannedFile(path: "a", byteCount: 0), count: 3)
        #expect(WriteAccess.obstacle(toHolding: many, in: path) == nil)
        let files = [PlannedFile(path: "a", byteCount: .max), PlannedFile(path: "b", byteCount: .max)]
        #expect(WriteAccess.obstacle(toHolding: files, in: path.appending("new")) != nil)
        #expect(WriteAccess.shortage(of: files, in: path) != nil)
        #expect(WriteAccess.obstacle(toHolding: [PlannedFile(path: "a", byteCount: 1)], in: path) == nil)
        #expect(WriteAccess.shortage(of: [PlannedFile(path: "a", byteCount: 1)], in: path) == nil)
    }

    @Test func `every obstacle is a sentence`() {
        let sentences: [(WriteObstacle, String)] = [
            (
                .refused(path: "/x", code: .readOnlyFileSystem),
                "nothing can be written to /x: the file system is read-only."
            ),
            (
                .danglingLink(path: "/x", target: "/y"),
                "/x is a link to /y, which does not exist. Make the directory that it leads to, or remove it."
            ),
            (.noDirectory(path: "/x"), "/x is no directory."),
            (.isDirectory(path: "/x"), "/x is a directory; a file belongs there."),
            (
                .nameTooLong(name: "abc", byteCount: 300, limit: 255),
                "the name \"abc…\" has 300 bytes; its file system allows 255."
            ),
            (.pathTooLong(path: "/x", byteCount: 5000, limit: 4095), "the path /x… has 5000 bytes; 4095 are allowed."),
            (
                .fileSystemTooSmall(path: "/x", needed: 9, total: 8),
                "the files need 9 bytes; the file system at /x has 8 in all."
            ),
            (.noRoom(path: "/x", needed: 9, free: 8), "the files need 9 bytes; 8 are free at /x."),
            (
                .fileTooLarge(name: "f", byteCount: 9, limit: 8, by: "the file system (FAT)"),
                "the file f needs 9 bytes; the file system (FAT) allows 8."
            ),
        ]
        for (obstacle, sentence) in sentences { #expect(obstacle.description == sentence) }
    }
}
