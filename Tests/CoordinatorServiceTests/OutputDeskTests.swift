import FileAccess
import Foundation
import Identifiers
import Publication
import SystemPackage
import TestSupport
import Testing
import WireProtocol
import ZeroMQ

@testable import CoordinatorService

/// What clients can see of an output directory.
@Suite struct OutputDeskTests {
    private let directory: TemporaryDirectory
    private let output: FilePath
    private let desk = OutputDesk(roots: .unlimited)

    init() throws {
        directory = try TemporaryDirectory()
        output = FilePath(directory.path).appending("output")
        let published = OutputDirectory(
            path: output, job: "job-1", owner: ClaimOwner(coordinator: "c1", stateDirectory: ""), overwrites: false,
            roots: .unlimited)
        for (place, name) in [("merged", "model.safetensors"), ("", "report.json")] {
            let staged = try published.stage(at: FilePath(place)).appending(name)
            try Data("0123456789".utf8).write(to: URL(fileURLWithPath: staged.string))
        }
        try published.publish()
        published.removeStaging()
        let manager = FileManager.default
        for path in ["output/.kfacd-job-2/merged", "elsewhere"] {
            try manager.createDirectory(atPath: directory.appending(path), withIntermediateDirectories: true)
        }
        for path in ["output/.kfacd-job-2/merged/half", "output/notes", "secret", "elsewhere/secret"] {
            try directory.write(Array("0123456789".utf8), to: path)
        }
        try manager.createSymbolicLink(
            atPath: directory.appending("output/link"), withDestinationPath: directory.appending("secret"))
        try manager.createSymbolicLink(
            atPath: directory.appending("output/merged/links"), withDestinationPath: directory.appending("elsewhere"))
    }

    @Test func `what the job published is listed with its sizes, and its list first`() async throws {
        let files = try await desk.files(of: "job-1", by: "c1", in: output)
        #expect(files.map(\.path) == [".kfacd-manifest.json", "merged/model.safetensors", "report.json"])
        #expect(files.dropFirst().map(\.byteCount) == [10, 10])
    }

    @Test func `files that are gone or changed are named`() async throws {
        try directory.remove("output/report.json")
        try directory.write(Array("more".utf8), to: "output/merged/model.safetensors")
        await #expect(
            throws: OutputDeskError.incomplete(
                output, missing: ["report.json"], changed: ["merged/model.safetensors"])
        ) { try await desk.files(of: "job-1", by: "c1", in: output) }
    }

    @Test func `a list that is gone means that the outputs are`() async throws {
        try directory.remove("output/.kfacd-manifest.json")
        await #expect(throws: OutputDeskError.noList(output)) {
            try await desk.files(of: "job-1", by: "c1", in: output)
        }
    }

    @Test(arguments: [("job-2", "c1"), ("job-1", "c2")])
    func `another job's files are not given out as a job's`(job: String, coordinator: String) async throws {
        await #expect(throws: OutputDeskError.replaced(output, by: "job-1", of: "c1")) {
            try await desk.files(of: .init(rawValue: job), by: coordinator, in: output)
        }
    }

    @Test func `the reasons name what is missing, what changed and what to do, and no long list`() {
        let names = (1...7).map { "f\($0)" }
        #expect(
            OutputDeskError.incomplete("/out", missing: names, changed: ["g"]).description
                == "f1, f2, f3, f4, f5 and 2 more in /out: missing. g in /out: changed since the job wrote them. Run the "
                + "job again.")
        #expect(
            OutputDeskError.noList("/out").description
                == "the outputs are gone: /out holds no .kfacd-manifest.json, which lists what the job wrote. They were "
                + "removed, or written by an earlier version, which made no list. Run the job again.")
        #expect(
            OutputDeskError.replaced("/out", by: "job-2", of: "c1").description
                == "the outputs are gone: /out holds those of job-2 of the coordinator c1. Run the job again with another "
                + "output directory.")
    }

    @Test func `bytes of a listed file are read, as many as there are`() async throws {
        for (offset, byteCount, expected): (UInt64, UInt64, String) in [
            (0, 4, "0123"), (8, 4, "89"), (10, .max, ""),
        ] {
            let bytes = try await desk.bytes(
                of: "merged/model.safetensors", in: output, offset: offset, byteCount: byteCount)
            #expect(bytes?.text == expected)
        }
    }

    @Test(arguments: [
        "", ".", "/", "..", "../secret", "merged/../../secret", "merged/../report.json", "./report.json",
        "merged//model.safetensors", "merged", "merged/", "nothing", "link", "merged/links/secret",
        ".kfacd-job-2/merged/half",
    ])
    func `a path that leads elsewhere is none`(path: String) async throws {
        #expect(try await desk.bytes(of: path, in: output, offset: 0, byteCount: 4) == nil)
    }

    @Test func `an absolute path is none`() async throws {
        let path = directory.appending("output/report.json")
        #expect(try await desk.bytes(of: path, in: output, offset: 0, byteCount: 4) == nil)
    }
}
