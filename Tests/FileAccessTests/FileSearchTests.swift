import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing

/// Patterns over real directories and links, below roots.
@Suite struct FileSearchTests {
    private let directory: TemporaryDirectory
    private let place: FilePath
    private let inside: FilePath
    private let roots: FileRoots

    init() throws {
        directory = try TemporaryDirectory()
        place = FilePath(URL(fileURLWithPath: directory.path).resolvingSymlinksInPath().path)
        inside = place.appending("inside")
        for name in ["inside", "inside/a", "inside/b", "inside/run[1]", "inside/run1", "outside", "outside/deep"] {
            try FileManager.default.createDirectory(
                atPath: place.appending(name).string, withIntermediateDirectories: true)
        }
        let files = [
            "inside/a/x.st", "inside/a/y.st", "inside/a/.hidden.st", "inside/b/x.st", "inside/run[1]/c.st",
            "inside/run1/c.st", "inside/a/q?.st", "outside/secret.st", "outside/deep/secret.st",
        ]
        for file in files { try directory.write([1], to: file) }
        roots = try FileRoots([inside])
    }

    private func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: place.appending(name).string, withDestinationPath: target)
    }

    /// The paths that a pattern finds, relative to the root.
    private func found(_ pattern: String, _ limits: FileSearch.Limits = .init()) throws -> [String] {
        var search = FileSearch(roots: roots, limits: limits)
        return try search.files(of: FilePath("\(inside)/\(pattern)")).map {
            String($0.string.dropFirst(inside.string.count + 1))
        }
    }

    @Test(arguments: [
        ("a/*.st", ["a/q?.st", "a/x.st", "a/y.st"]), ("*/x.st", ["a/x.st", "b/x.st"]), ("?/y.st", ["a/y.st"]),
        ("a/[x-z].st", ["a/x.st", "a/y.st"]), ("a/[!x].st", ["a/y.st"]), ("a/.*", ["a/.hidden.st"]),
        ("*/missing", []), ("a/x.st/*", []), ("a/x.st", ["a/x.st"]), ("a/missing.st", ["a/missing.st"]),
        ("a/[y", ["a/[y"]), ("run[0-9]/c.st", ["run1/c.st"]), ("a/q\\?.st", ["a/q?.st"]),
        ("*", ["a", "b", "run1", "run[1]"]),
    ])
    func `a pattern names files as a shell does`(pattern: String, expected: [String]) throws {
        let isLiteral = ["a/[y"].contains(pattern)
        #expect(try found(pattern) == (isLiteral ? [] : expected))
    }

    @Test func `a path that exists is itself, and so is a name with brackets in a pattern`() throws {
        #expect(try found("run[1]/c.st") == ["run[1]/c.st"])
        #expect(try found("run[1]/*.st") == ["run[1]/c.st"])
        #expect(try found("run\\[1\\]/*") == ["run[1]/c.st"])
        #expect(try found("a/q?.st") == ["a/q?.st"])
    }

    @Test func `dots never match, so that no pattern leaves the roots`() throws {
        #expect(try found(".?/outside/*") == [])
        #expect(try found("?./outside/*") == [])
        #expect(try found(".[.]/outside/*") == [])
        #expect(try found("a/.*/*") == [])
        #expect(try found("\\.\\./outside/*") == [])
        #expect(try found("\\.\\./outside/secret.st") == [])
        #expect(try found("a*/\\.\\./\\.\\./outside/secret.st") == [])
        #expect(try found(".?/*/.?/*/.?/*/.?/*/.?/*/.?/*/.?/*/.?/*/.?/*/x") == [])
    }

    @Test func `links below a wildcard that lead outside are passed over, whatever lies there`() throws {
        try link("inside/a/link.st", to: "../../outside/secret.st")
        try link("inside/a/dangling.st", to: "../../outside/missing.st")
        try link("inside/out", to: "../outside")
        try link("inside/own.st", to: "a/x.st")
        #expect(try found("a/*.st") == ["a/q?.st", "a/x.st", "a/y.st"])
        #expect(try found("*/secret.st") == [])
        #expect(try found("o*/*") == [])
        #expect(try found("*/deep/*") == [])
        #expect(try found("ou[t]/deep/secret.st") == [])
        #expect(try found("*.st") == ["own.st"])
    }

    @Test func `a pattern that begins outside is refused as a path there is`() throws {
        for pattern in ["\(place)/outside/*", "\(place)/*", "/*"] {
            var search = FileSearch(roots: roots)
            #expect(throws: FileSearchError.self) { try search.files(of: FilePath(pattern)) }
        }
    }

    @Test func `directories, names and matches are bounded, and the error counts them`() throws {
        for number in 0..<30 {
            try FileManager.default.createDirectory(
                atPath: "\(inside)/many/\(number)", withIntermediateDirectories: true)
            try directory.write([1], to: "inside/many/\(number)/f")
        }
        #expect(try found("many/*/*").count == 30)
        var limits = FileSearch.Limits()
        limits.directories = 10
        #expect(throws: FileSearchError.tooMuch(directories: 10, names: 39, matches: 0, seconds: 0)) {
            try found("many/*/*", limits)
        }
        limits = FileSearch.Limits()
        limits.names = 20
        #expect(throws: FileSearchError.self) { try found("many/*/*", limits) }
        limits = FileSearch.Limits()
        limits.matches = 5
        #expect(throws: FileSearchError.self) { try found("many/*/*", limits) }
        limits = FileSearch.Limits()
        limits.time = .zero
        #expect(throws: FileSearchError.self) { try found("many/*/*", limits) }
        let error = FileSearchError.tooMuch(directories: 10, names: 39, matches: 7, seconds: 3)
        #expect(
            error.description
                == "the search was given up after 10 directories, 39 names in them, 7 matches and 3 s. Name the files "
                + "more exactly.")
    }

    @Test func `a search ends when its task is cancelled`() async throws {
        let (roots, inside) = (roots, inside)
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            var search = FileSearch(roots: roots)
            return try search.files(of: FilePath("\(inside)/*/*"))
        }
        await #expect(throws: FileSearchError.cancelled) { try await task.value }
    }

    @Test func `a pattern with many stars takes no longer than its length times the name's`() throws {
        try directory.write([1], to: "inside/" + String(repeating: "a", count: 200))
        let pattern = String(repeating: "*a", count: 100) + "b"
        #expect(try found(pattern) == [])
    }
}
