import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing

@Suite struct DirectoriesTests {
    private let directory: TemporaryDirectory
    private var root: FilePath { FilePath(directory.path) }

    init() throws { directory = try TemporaryDirectory() }

    @Test func `a directory is made with those above it, and one that exists stays`() throws {
        let path = root.appending("a/b/c")
        try Directories.create(path)
        try directory.write([1], to: "a/b/c/file")
        try Directories.create(path)
        #expect(Directories.exists(path.appending("file")))
    }

    @Test func `a file in the way is named with the remedy`() throws {
        try directory.write([], to: "file")
        for path in [root.appending("file"), root.appending("file/below")] {
            let error = #expect(throws: FileAccessError.self) { try Directories.create(path, setting: "--place") }
            #expect(
                error?.description
                    == "\(path): the directory cannot be made: a part of the path is no directory. Name another place "
                    + "with --place.")
        }
    }

    @Test func `a directory that can be written is proved to be, and nothing is left in it`() throws {
        try Directories.requireWriting(in: root, setting: "--place")
        #expect(try Directories.names(in: root).isEmpty)
    }

    @Test func `a directory that takes no file is named with the setting`() throws {
        let missing = root.appending("missing")
        let error = #expect(throws: FileAccessError.self) {
            try Directories.requireWriting(in: missing, setting: "--place")
        }
        #expect(
            error?.description
                == "\(missing): nothing can be written in it: there is no such file or directory. Make it, or correct "
                + "--place.")
        // The kernel's file system takes no files, from root either.
        #expect(throws: FileAccessError.self) { try Directories.requireWriting(in: "/proc/self") }
    }

    @Test func `a tree goes with whatever names it holds, and a link goes without what it leads to`() throws {
        try Directories.create(root.appending("kept"))
        try directory.write([1], to: "kept/file")
        try Directories.create(root.appending("tree/deep/er"))
        try directory.write([1], to: "tree/deep/er/file")
        let odd = FilePath(
            platformString: "\(directory.path)/tree/".utf8CString.dropLast() + [CChar(bitPattern: 0xFF), 0])
        #expect(!odd.isText)
        try Directories.create(odd)
        try FileManager.default.createSymbolicLink(
            atPath: directory.appending("tree/link"), withDestinationPath: directory.appending("kept"))
        try Directories.remove(root.appending("tree"))
        #expect(!Directories.exists(root.appending("tree")))
        #expect(Directories.exists(root.appending("kept/file")))
        try Directories.remove(root.appending("never there"))
    }

    @Test func `the directory of a process that lives stays, and that of one that is gone goes with the next`() throws {
        let place = TemporaryPlace(named: directory.path, option: "--place", usual: "/tmp")
        let first = try OwnedDirectory(prefix: "own-", in: place)
        let second = try OwnedDirectory(prefix: "own-", in: place)
        #expect(Directories.exists(first.path) && Directories.exists(second.path))
        // One lock that nobody holds, as after the end of its process, and one directory without a lock.
        let left = root.appending("own-1-0")
        try Directories.create(left, mode: 0o700)
        try directory.write([], to: "own-1-0/owner")
        let foreign = root.appending("own-notes")
        try Directories.create(foreign, mode: 0o700)
        let third = try OwnedDirectory(prefix: "own-", in: place)
        #expect(!Directories.exists(left))
        #expect([first.path, second.path, third.path, foreign].allSatisfy { Directories.exists($0) })
        second.remove()
        #expect(!Directories.exists(second.path))
        withExtendedLifetime((first, third)) {}
    }

    @Test func `a removal that is stopped in the middle leaves a directory that the next finds to be abandoned`() throws
    {
        let place = TemporaryPlace(named: directory.path, option: "--place", usual: "/tmp")
        let own = try OwnedDirectory(prefix: "own-", in: place)
        let name = try #require(own.path.lastComponent?.string)
        for folder in 0..<50 {
            try Directories.create(own.path.appending("blobs").appending("\(folder)"))
            for file in 0..<100 { try directory.write([], to: "\(name)/blobs/\(folder)/\(file)") }
        }
        var asked = 0
        let isWhole = own.remove {
            asked += 1
            return asked > 2000
        }
        #expect(!isWhole)
        #expect(Directories.exists(own.path.appending("owner")))
        let next = try OwnedDirectory(prefix: "own-", in: place)
        #expect(!Directories.exists(own.path))
        next.remove()
    }

    @Test func `a link in the way that leads in a circle is told as such`() throws {
        try FileManager.default.createSymbolicLink(
            atPath: directory.appending("circle"), withDestinationPath: "circle")
        let error = #expect(throws: FileAccessError.self) { try Directories.create(root.appending("circle")) }
        #expect(error?.code == .tooManySymbolicLinkLevels)
    }

    @Test func `a task that is cancelled leaves what was left to the next`() async throws {
        try Directories.create(root.appending("own-1-0"), mode: 0o700)
        for name in ["owner"] + (0..<50).map(String.init) { try directory.write([], to: "own-1-0/\(name)") }
        let place = TemporaryPlace(named: directory.path, option: "--place", usual: "/tmp")
        let own = try await Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try OwnedDirectory(prefix: "own-", in: place)
        }.value
        // Removed as a whole: without the lock's file nobody would know that the directory is abandoned.
        #expect(Directories.exists(root.appending("own-1-0/owner")))
        own.remove()
        let next = try OwnedDirectory(prefix: "own-", in: place)
        #expect(!Directories.exists(root.appending("own-1-0")))
        next.remove()
    }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["TMPDIR"] == nil, "TMPDIR is set"))
    func `a place that the environment names wrongly is said, with its name`() throws {
        let place = TemporaryPlace(named: nil, option: "--place", usual: root.appending("missing"))
        let error = #expect(throws: FileAccessError.self) { _ = try OwnedDirectory(prefix: "own-", in: place) }
        let text = try #require(error?.description)
        #expect(text.contains("missing") && text.contains("TMPDIR or --place"), "\(text)")
    }

    @Test func `a relative path begins at the working directory`() throws {
        let working = try WorkingDirectory.path()
        #expect(try WorkingDirectory.absolute("a/../b/./c") == working.appending("b/c"))
        #expect(try WorkingDirectory.absolute("/x/../y") == "/y")
    }
}
