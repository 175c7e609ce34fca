import FileAccess
import Foundation
import Identifiers
import SystemPackage
import TestSupport
import Testing

@testable import CoordinatorService

/// What lies in an output directory, whenever its coordinator is killed.
struct OutputDirectoryTests {
    private let directory: TemporaryDirectory
    private let output: OutputDirectory

    init() throws {
        directory = try TemporaryDirectory()
        output = OutputDirectory(path: FilePath(directory.path).appending("out"), job: "job-1", roots: .unlimited)
    }

    private func stage(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: try output.stage().appending(name).string))
    }

    private var published: [String] {
        let names = try? FileManager.default.contentsOfDirectory(atPath: output.path.string)
        return (names ?? []).filter { !$0.hasPrefix(".kfacd-") }.sorted()
    }

    /// The record that the files are published may be lost with the process: then they are published once more.
    @Test func `what is published stays when it is published again before that is known`() throws {
        try stage("report.json", "new")
        try output.publish()
        try output.publish()
        #expect(published == ["report.json"])
        #expect(output.lastUnusableRow == 0, "files of this job would be written anew")
        output.removeStaging()
        #expect(!output.isStaged)
        #expect(published == ["report.json"])
    }

    @Test func `an earlier job's files go once, and not those that took their places`() throws {
        try stage("report.json", "new")
        try FileManager.default.createDirectory(
            atPath: output.path.appending("merged").string, withIntermediateDirectories: true)
        try Data("old".utf8).write(to: URL(fileURLWithPath: output.path.appending("report.json").string))
        try output.publish()
        #expect(published == ["report.json"])
        try output.publish()
        #expect(try String(contentsOfFile: output.path.appending("report.json").string, encoding: .utf8) == "new")
    }

    @Test func `a staging directory made anew says which rows are void`() throws {
        #expect(output.lastUnusableRow == nil)
        try output.renew(after: 41)
        #expect(output.lastUnusableRow == 41)
        try stage("report.json", "new")
        try output.publish()
        #expect(published == ["report.json"])
    }

    @Test func `what is discarded leaves no directory behind, unless something else lies there`() throws {
        try stage("report.json", "new")
        output.discard()
        #expect(!FileManager.default.fileExists(atPath: output.path.string))
    }
}
