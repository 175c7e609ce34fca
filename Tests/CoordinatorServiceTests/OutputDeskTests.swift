import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing
import WireProtocol
import ZeroMQ

@testable import CoordinatorService

/// What clients are shown of an output directory.
@Suite struct OutputDeskTests {
    private let directory: TemporaryDirectory
    private let output: FilePath
    private let desk = OutputDesk(roots: .unlimited)

    init() throws {
        directory = try TemporaryDirectory()
        output = FilePath(directory.path).appending("output")
        let manager = FileManager.default
        for path in ["output/merged", "output/.kfacd-job-2/merged", "elsewhere"] {
            try manager.createDirectory(atPath: directory.appending(path), withIntermediateDirectories: true)
        }
        for path in [
            "output/report.json", "output/merged/model.safetensors", "output/.kfacd-job-2/merged/half", "secret",
            "elsewhere/secret",
        ] {
            try directory.write(Array("0123456789".utf8), to: path)
        }
        try manager.createSymbolicLink(
            atPath: directory.appending("output/link"), withDestinationPath: directory.appending("secret"))
        try manager.createSymbolicLink(
            atPath: directory.appending("output/merged/links"), withDestinationPath: directory.appending("elsewhere"))
    }

    @Test func `files are listed with their sizes, without links and what a job is still writing`() async throws {
        let expected = ["merged/model.safetensors", "report.json"].map { OutputFile(path: $0, byteCount: 10) }
        #expect(await desk.files(in: output) == expected)
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
    func `a path that the listing would not name is none`(path: String) async throws {
        #expect(try await desk.bytes(of: path, in: output, offset: 0, byteCount: 4) == nil)
    }

    @Test func `an absolute path is none`() async throws {
        let path = directory.appending("output/report.json")
        #expect(try await desk.bytes(of: path, in: output, offset: 0, byteCount: 4) == nil)
    }
}
