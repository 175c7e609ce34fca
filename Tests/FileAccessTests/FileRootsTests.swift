import FileAccess
import Foundation
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Reads and writes below roots, with real files and links.
@Suite struct FileRootsTests {
    private let directory: TemporaryDirectory
    private let place: FilePath
    private let inside: FilePath
    private let outside: FilePath
    private let roots: FileRoots

    init() throws {
        directory = try TemporaryDirectory()
        place = FilePath(URL(fileURLWithPath: directory.path).resolvingSymlinksInPath().path)
        (inside, outside) = (place.appending("inside"), place.appending("outside"))
        for path in [inside, outside] {
            try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: false)
        }
        try directory.write(Array("public".utf8), to: "inside/file")
        try directory.write(Array("secret".utf8), to: "outside/file")
        roots = try FileRoots([inside])
    }

    private func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: place.appending(name).string, withDestinationPath: target)
    }

    private func content(_ path: FilePath, _ roots: FileRoots) throws -> String {
        let descriptor = try roots.open(path)
        return try descriptor.closeAfter {
            var bytes = [UInt8](repeating: 0, count: 16)
            let count = try bytes.withUnsafeMutableBytes { try descriptor.read(into: $0) }
            return String(decoding: bytes.prefix(count), as: UTF8.self)
        }
    }

    private func refusal(of path: FilePath, leadingTo resolved: FilePath?) -> FileRootsError {
        .outside(path: path, isLink: resolved != nil, roots: [inside])
    }

    @Test func `a file below a root is read`() throws {
        #expect(try content(inside.appending("file"), roots) == "public")
    }

    @Test func `without a limit every file is read`() throws {
        #expect(try content(outside.appending("file"), .unlimited) == "secret")
    }

    @Test func `without any root no file is read`() {
        let file = inside.appending("file")
        #expect(throws: FileRootsError.outside(path: file, isLink: false, roots: [])) { try FileRoots.none.open(file) }
    }

    @Test func `a file elsewhere is refused as one that does not exist there is`() {
        for name in ["file", "missing"] {
            let path = outside.appending(name)
            #expect(throws: refusal(of: path, leadingTo: nil)) { try roots.open(path) }
        }
    }

    @Test func `dots do not lead out`() {
        let path = FilePath("\(inside)/../outside/file")
        #expect(throws: refusal(of: path, leadingTo: nil)) { try roots.open(path) }
    }

    @Test func `a directory whose name begins like a root is none`() throws {
        try FileManager.default.createDirectory(atPath: "\(inside)-too", withIntermediateDirectories: false)
        try directory.write([1], to: "inside-too/file")
        let path = place.appending("inside-too").appending("file")
        #expect(throws: refusal(of: path, leadingTo: nil)) { try roots.open(path) }
    }

    @Test(arguments: ["../outside/file", "absolute"])
    func `a link to a file outside is refused, and where it leads is not told`(target: String) throws {
        try link("inside/link", to: target == "absolute" ? outside.appending("file").string : target)
        let path = inside.appending("link")
        #expect(throws: refusal(of: path, leadingTo: outside.appending("file"))) { try roots.open(path) }
    }

    @Test func `a link in the middle of a path is followed before it is judged`() throws {
        try link("inside/directory", to: "../outside")
        let path = inside.appending("directory").appending("file")
        #expect(throws: refusal(of: path, leadingTo: outside.appending("file"))) { try roots.open(path) }
    }

    @Test func `links within a root, and from elsewhere into it, are followed`() throws {
        try link("inside/link", to: "file")
        try link("outside/link", to: inside.appending("file").string)
        #expect(try content(inside.appending("link"), roots) == "public")
        #expect(try content(outside.appending("link"), roots) == "public")
    }

    @Test func `a root that is a link stands for what it leads to`() throws {
        try link("root", to: "inside")
        let roots = try FileRoots([place.appending("root")])
        #expect(try content(place.appending("root").appending("file"), roots) == "public")
        #expect(try content(inside.appending("file"), roots) == "public")
    }

    @Test func `a link that is exchanged all the time never leads out`() throws {
        try link("inside/link", to: "file")
        let link = inside.appending("link")
        // Another thread swaps the link's target by rename, as an attacker would. A read returns one target or the
        // other.
        let isDone = Flag()
        let thread = Thread {
            var turn = 0
            while !isDone.isSet {
                turn += 1
                let next = place.appending("inside/next-\(turn)").string
                try? FileManager.default.createSymbolicLink(
                    atPath: next, withDestinationPath: turn % 2 == 0 ? "file" : "../outside/file")
                rename(next, link.string)
            }
        }
        thread.start()
        defer { isDone.set() }
        var (granted, refused) = (0, 0)
        for _ in 0..<20_000 {
            do {
                #expect(try content(link, roots) == "public")
                granted += 1
            } catch {
                #expect(error as? FileRootsError == refusal(of: link, leadingTo: outside.appending("file")))
                refused += 1
            }
        }
        // On one core the other thread may hardly run. Then the test shows nothing and claims nothing.
        withKnownIssue("the link was never exchanged", isIntermittent: true) {
            #expect(granted > 0 && refused > 0)
        }
    }

    @Test func `an output that does not exist yet is judged by what exists above it`() throws {
        try link("inside/link", to: "../outside")
        try roots.requireInside(inside.appending("new/directory"))
        let escaping = inside.appending("link/new/directory")
        #expect(throws: refusal(of: escaping, leadingTo: outside.appending("new/directory"))) {
            try roots.requireInside(escaping)
        }
        #expect(throws: refusal(of: outside.appending("new"), leadingTo: nil)) {
            try roots.requireInside(outside.appending("new"))
        }
    }

    @Test func `through a link to elsewhere nobody learns what exists there`() throws {
        try link("inside/directory", to: "../outside")
        try link("inside/dangling", to: "../outside/nowhere")
        try link("inside/again", to: "dangling")
        try link("inside/round", to: "round")
        for name in [
            "directory/file", "directory/missing", "directory/file/below", "dangling", "again", "dangling/x",
        ] {
            let path = FilePath("\(inside)/\(name)")
            #expect(throws: refusal(of: path, leadingTo: outside)) { try roots.open(path) }
            #expect(throws: refusal(of: path, leadingTo: outside)) { try roots.kind(of: path) }
            #expect(throws: refusal(of: path, leadingTo: outside)) { try roots.requireInside(path) }
            #expect(throws: refusal(of: path, leadingTo: outside)) { try roots.names(in: path) }
        }
        #expect(throws: refusal(of: inside.appending("round"), leadingTo: outside)) {
            try roots.open(inside.appending("round"))
        }
    }

    @Test func `pipes and devices are not opened`() throws {
        let pipe = inside.appending("pipe")
        try #require(mkfifo(pipe.string, 0o600) == 0)
        #expect(try roots.kind(of: pipe) == .other)
        #expect(throws: FileRootsError.notFile(path: pipe)) { try roots.open(pipe) }
        #expect(throws: SafetensorsError.file(.notRegularFile(file: pipe, kind: "a pipe, a socket or a device"))) {
            try SafetensorsFile(opening: pipe, within: roots)
        }
        #expect(throws: SafetensorsError.file(.notRegularFile(file: pipe, kind: "a pipe"))) {
            try SafetensorsFile(opening: pipe)
        }
    }

    @Test func `of what lies at a path only the kind is told`() throws {
        #expect(try roots.kind(of: inside) == .directory)
        #expect(try roots.kind(of: inside.appending("file")) == .file)
        #expect(try roots.kind(of: inside.appending("missing")) == nil)
        #expect(try roots.kind(of: inside.appending("file/below")) == nil)
    }

    @Test func `a directory with more names than are asked for is an error`() throws {
        for number in 0..<5 { try directory.write([], to: "inside/\(number)") }
        #expect(try roots.names(in: inside, limit: 6).count == 6)
        #expect(throws: FileRootsError.tooManyNames(directory: inside, limit: 5)) {
            try roots.names(in: inside, limit: 5)
        }
    }

    @Test func `a missing file below a root is missing`() {
        let path = inside.appending("missing")
        #expect(throws: FileRootsError.callFailed(path: path, call: "open", code: .noSuchFileOrDirectory)) {
            try roots.open(path)
        }
    }

    @Test func `a root must exist`() {
        let path = place.appending("missing")
        #expect(throws: FileRootsError.unusableRoot(path: path, code: .noSuchFileOrDirectory)) {
            try FileRoots([path])
        }
    }

    @Test func `a set's shard and index that are links to elsewhere are refused`() throws {
        try directory.write([], to: "outside/model-1.safetensors")
        try link("inside/model-1.safetensors", to: "../outside/model-1.safetensors")
        let index = #"{"weight_map": {"a": "model-1.safetensors"}}"#
        try directory.write(Array(index.utf8), to: "inside/model.safetensors.index.json")
        #expect(
            throws: SafetensorsError.file(
                .outsideRoots(
                    refusal(
                        of: inside.appending("model-1.safetensors"),
                        leadingTo: outside.appending("model-1.safetensors"))))
        ) { try SafetensorsSet(opening: inside, within: roots) }
    }

    @Test func `a shard's name is no path`() throws {
        let index = #"{"weight_map": {"a": "../outside/file"}}"#
        try directory.write(Array(index.utf8), to: "inside/model.safetensors.index.json")
        #expect(
            throws: SafetensorsError.set(
                path: inside.appending("model.safetensors.index.json"),
                problem: .shardOutside(tensor: "a", shard: "../outside/file"))
        ) { try SafetensorsSet(opening: inside, within: .unlimited) }
    }

    @Test func `the messages say where, what, and what to do`() {
        #expect(
            refusal(of: "/data/link", leadingTo: "/etc/shadow").description.replacing(inside.string, with: "/data")
                == "/data/link: a link leads outside of the roots (/data); expected a path below one "
                + "of them. Move the file there, or start the daemon with a further --root.")
        #expect(
            FileRootsError.outside(path: "/x", isLink: false, roots: []).description
                == "/x: lies outside of the roots (none); expected a path below one of them. Move the file there, or "
                + "start the daemon with a further --root.")
        #expect(
            FileRootsError.unusableRoot(path: "/x", code: .noSuchFileOrDirectory).description
                == "/x: cannot be a root: there is no such file or directory; expected a directory that exists. Make "
                + "it, or correct --root.")
        #expect(
            FileRootsError.callFailed(path: "/x", call: "open", code: .permissionDenied).description
                == "/x: open failed: this user may not do that (permission denied). Give this user the right.")
    }
}

/// A flag that is set once.
private final class Flag: @unchecked Sendable {
    // @unchecked Sendable because the lock guards the value.
    private let lock = NSLock()
    private var value = false

    var isSet: Bool { lock.withLock { value } }

    func set() { lock.withLock { value = true } }
}
