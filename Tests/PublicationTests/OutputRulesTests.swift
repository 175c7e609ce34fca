import FileAccess
import Foundation
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import Publication

/// Which files may be replaced, and what is refused before the work.
@Suite struct OutputRulesTests {
    private let place: PublishedDirectory

    init() throws { place = try PublishedDirectory() }

    private func problems(_ files: [PlannedFile] = [], overwrites: Bool = true) -> [String] {
        place.output("job-2", overwrites: overwrites).problems(publishing: files)
    }

    @Test func `an earlier job's files may be replaced when that is asked for`() throws {
        try place.run(TwoJobs.old, place.output())
        #expect(problems() == [])
        #expect(
            problems(overwrites: false) == [
                "the output directory \(place.path) is not empty (it holds \"factors\" and 2 more). Choose another, or "
                    + "allow it with --overwrite."
            ])
    }

    @Test(arguments: ["merged/notes.txt", "factors/precious/thesis.txt", "regularizer/x", "report.html"])
    func `a stranger's file below what is replaced is named`(file: String) throws {
        try place.run(TwoJobs.old, place.output())
        try place.write("mine", to: file)
        let found = try #require(problems().first)
        #expect(found.contains("\"\(file)\"") && found.contains("which no kfacd job wrote"), "\(found)")
    }

    @Test func `a directory that no job made is a stranger's`() throws {
        try place.run(TwoJobs.old, place.output())
        for name in ["inverses", "merged/mine"] {
            try FileManager.default.createDirectory(
                atPath: place.path.pushing(FilePath(name)).string, withIntermediateDirectories: false)
        }
        #expect(problems().first?.contains("holds \"inverses\", \"merged/mine\", which no kfacd job wrote") == true)
    }

    @Test(arguments: [
        "model.safetensors.index.json", "model-00001-of-00002.safetensors", "pytorch_model.bin", "adapter_config.json",
        "adapter_model.safetensors", "tokenizer.json", "config.json",
    ])
    func `a stranger's file by which a reader would load other weights is named where a model is published`(
        file: String
    ) throws {
        try place.run(TwoJobs.old, place.output())
        try place.write("mine", to: file)
        #expect(problems() == [])
        #expect(
            problems([PlannedFile(path: "model.safetensors", byteCount: 1)]) == [
                "the output directory \(place.path) holds \"\(file)\", which no kfacd job wrote. Move it away, or choose "
                    + "another."
            ])
    }

    @Test(arguments: ["old 3", "longer than before"])
    func `a file that was changed is named`(text: String) throws {
        try place.run(TwoJobs.old, place.output())
        try place.write(text, to: "merged/model-2.safetensors")
        #expect(
            problems() == [
                "the output directory \(place.path) holds \"merged/model-2.safetensors\", changed after the earlier job "
                    + "wrote it. Move it away, or choose another."
            ])
    }

    @Test func `a link in the place of a file is a stranger's, whatever it leads to`() throws {
        try place.run(TwoJobs.old, place.output())
        let report = place.path.appending("report.json").string
        try FileManager.default.moveItem(atPath: report, toPath: place.directory.appending("report"))
        try FileManager.default.createSymbolicLink(
            atPath: report, withDestinationPath: place.directory.appending("report"))
        #expect(problems().first?.contains("\"report.json\", which no kfacd job wrote") == true)
    }

    @Test func `a file that is gone is no obstacle`() throws {
        try place.run(TwoJobs.old, place.output())
        try place.directory.remove("out/merged/model-1.safetensors")
        #expect(problems() == [])
        try place.run(TwoJobs.new, place.output("job-2", overwrites: true))
        #expect(place.contents == TwoJobs.new)
    }

    @Test func `outputs without a list are refused with what to do`() throws {
        try place.write("old", to: "merged/model.safetensors")
        #expect(
            problems() == [
                "the output directory \(place.path) holds \"merged\" and no .kfacd-manifest.json, so that nothing proves "
                    + "that a kfacd job wrote them; versions before this one wrote no such list. Remove or move them "
                    + "yourself, or choose another."
            ])
    }

    @Test func `many names are cut with a count`() throws {
        try place.run(TwoJobs.old, place.output())
        for number in 1...9 { try place.write("x", to: "merged/x\(number)") }
        #expect(problems().first?.contains("\"merged/x5\" and 4 more, which") == true)
    }

    @Test(arguments: [
        (
            "{\"format\": \"kfacd.manifest/2\"}",
            "is of version \"kfacd.manifest/2\"; this program knows \"kfacd.manifest/1\""
        ),
        ("{\"format\": \"other/1\"}", "it is of the format \"other/1\"; expected \"kfacd.manifest/1\""),
        ("no json", "it is no JSON text"),
        (
            """
            {"format": "kfacd.manifest/1", "job": "j", "coordinator": "c", "files": [{"path": "../x", "bytes": 1,
             "sha256": "0000000000000000000000000000000000000000000000000000000000000000"}]}
            """, "\"files\" is missing or not what it should be"
        ),
    ])
    func `a list that cannot be believed is refused`(text: String, expected: String) throws {
        try place.write(text, to: ".kfacd-manifest.json")
        try place.write("x", to: "report.json")
        let found = problems()
        #expect(found.count == 1 && found[0].contains(expected), "\(found)")
    }

    @Test func `a leftover of NFS is nobody's and keeps nothing from being replaced`() throws {
        try place.run(TwoJobs.old, place.output())
        try place.write("", to: "merged/left/.nfs000000000000001")
        #expect(problems() == [])
        let left = try place.run(TwoJobs.new, place.output("job-2", overwrites: true))
        #expect(left.map { $0.lastComponent?.string } == [".nfs000000000000001"])
        #expect(place.contents == TwoJobs.new)
    }

    // MARK: - The place

    @Test func `a link stands for what it leads to, and one that leads nowhere is refused`() throws {
        let target = place.directory.appending("elsewhere")
        try FileManager.default.createSymbolicLink(atPath: place.path.string, withDestinationPath: target)
        #expect(
            problems() == [
                "the output directory \(place.path) cannot be used: \(place.path) is a link to \(target), which does not "
                    + "exist. Make the directory that it leads to, or remove it. Choose another."
            ])
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: false)
        #expect(problems() == [])
        try place.run(TwoJobs.new, place.output())
        #expect(FileStatus(of: place.path)?.kind == .link)
        #expect(FileManager.default.fileExists(atPath: "\(target)/merged/model.safetensors"))
    }

    @Test func `a directory that was there keeps its mode, whether the job succeeds or not`() throws {
        try FileManager.default.createDirectory(atPath: place.path.string, withIntermediateDirectories: false)
        #expect(chmod(place.path.string, 0o2775) == 0)
        let before = try #require(FileStatus(of: place.path))
        let failed = place.output()
        try failed.claim()
        try place.stage(TwoJobs.new, failed)
        #expect(failed.discard() == nil)
        try place.run(TwoJobs.new, place.output("job-2"))
        let after = try #require(FileStatus(of: place.path))
        #expect(after.number == before.number && after.mode == 0o2775)
    }

    @Test func `directories that were made for a job go when it leaves nothing`() throws {
        let deep = OutputDirectory(
            path: place.path.appending("a").appending("b"), job: "job-1",
            owner: ClaimOwner(coordinator: "c1", stateDirectory: ""), overwrites: false, roots: .unlimited)
        try deep.claim()
        _ = try deep.stage("factors")
        deep.discard()
        #expect(!Directories.exists(place.path))
    }

    @Test func `a file where the directory, or one above it, belongs is refused`() throws {
        try place.directory.write([], to: "out")
        #expect(problems().first?.contains("\(place.path) is no directory") == true)
        let below = OutputDirectory(
            path: place.path.appending("x"), job: "j", owner: ClaimOwner(coordinator: "c", stateDirectory: ""),
            overwrites: false, roots: .unlimited)
        #expect(below.problems(publishing: []).first?.contains("\(place.path) is no directory") == true)
    }

    @Test func `names and paths that are too long are refused, of the directory and of what goes there`() {
        let owner = ClaimOwner(coordinator: "c", stateDirectory: "")
        func problems(_ path: FilePath, _ file: String) -> String {
            let output = OutputDirectory(path: path, job: "j", owner: owner, overwrites: false, roots: .unlimited)
            return output.problems(publishing: [PlannedFile(path: file, byteCount: 0)]).first ?? ""
        }
        let long = String(repeating: "x", count: 256)
        #expect(problems(place.path.appending(long), "r").contains("has 256 bytes; its file system allows 255"))
        #expect(problems(place.path, "merged/\(long.dropFirst(20))").contains("its file system allows 255"))
        var deep = place.path
        for _ in 0..<20 { deep.append(String(repeating: "y", count: 200)) }
        #expect(problems(deep, "r").contains("; 4095 are allowed"))
    }

    @Test func `more than the file system holds is refused, in words`() {
        let found = problems([PlannedFile(path: "merged/x", byteCount: 1 << 60)])
        #expect(found.first?.contains("cannot hold the outputs: ") == true, "\(found)")
    }
}
