import FileAccess
import SystemPackage
import TestSupport
import Testing

@testable import Publication

/// Files that are staged in a directory and published beside it.
@Suite struct FlatLayoutTests {
    private let outputs: PublishedDirectory

    init() throws { outputs = try PublishedDirectory() }

    private static let staged = ["merged/a": "1", "merged/part/b": "2", "report.json": "3"]
    private static let published = ["a": "1", "part/b": "2", "report.json": "3"]

    @Test func `spread files are published in the output directory itself`() throws {
        let output = outputs.output()
        try output.claim()
        try outputs.stage(Self.staged, output)
        #expect(try output.spread("merged", proven: []).isEmpty)
        try output.publish()
        output.removeStaging()
        #expect(outputs.contents == Self.published)
    }

    @Test func `an interrupted step goes on, and what was written again counts`() throws {
        let output = outputs.output()
        try output.claim()
        try outputs.stage(Self.staged, output)
        _ = try output.spread("merged", proven: [])
        try outputs.stage(["merged/a": "new"], output)
        try output.gather("merged")
        try output.gather("merged")
        _ = try output.spread("merged", proven: [])
        _ = try output.spread("merged", proven: [])
        try output.publish()
        output.removeStaging()
        #expect(outputs.contents == Self.published.merging(["a": "new"]) { $1 })
    }

    @Test func `known digests move with their files`() throws {
        let output = outputs.output()
        try output.claim()
        try outputs.stage(Self.staged, output)
        let path = output.staging.appending("merged").appending("a")
        let status = try #require(FileStatus(of: path))
        let file = try #require(
            try output.spread("merged", proven: [ProvenFile(path: path, status: status, digest: "d")]).first)
        #expect(file.path == output.staging.appending("a"))
        #expect(file.digest == "d" && FileStatus(of: file.path) == file.status)
    }

    @Test func `a file of another is never replaced`() throws {
        let output = outputs.output(overwrites: true)
        try output.claim()
        try outputs.stage(Self.staged, output)
        try outputs.write("mine", to: "a")
        _ = try output.spread("merged", proven: [])
        #expect(throws: PublicationError.self) { try output.publish() }
        #expect(outputs.contents == ["a": "mine"])
    }
}
