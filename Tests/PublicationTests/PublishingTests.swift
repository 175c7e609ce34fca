import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import Publication

/// Files that get their names together, with interruptions at every step.
@Suite struct PublishingTests {
    private let place: PublishedDirectory

    init() throws { place = try PublishedDirectory() }

    /// Stands for the end of the process, as the file system sees it.
    private struct Killed: Error {}

    @Test(arguments: [Rename.Exchange.atomic, .steps])
    func `new files replace the earlier job's, and nothing else stays or goes`(way: Rename.Exchange) throws {
        try place.run(TwoJobs.old, place.output())
        try place.write("mine", to: "notes.txt")
        let output = place.output("job-2", overwrites: true)
        #expect(output.problems(publishing: []) == [])
        try output.claim()
        try place.stage(TwoJobs.new, output)
        try output.publish(by: way) { (_: String) throws(PublicationError) in }
        #expect(output.removeStaging() == [])
        #expect(place.contents == TwoJobs.new.merging(["notes.txt": "mine"]) { $1 })
        #expect(place.names == [".kfacd-manifest.json", "inverses", "merged", "notes.txt", "report.json"])
    }

    @Test(arguments: [Rename.Exchange.atomic, .steps], 0...5)
    func `a failing step leaves the old files, and keeps the new ones until it heals`(
        way: Rename.Exchange, step: Int
    ) throws {
        try place.run(TwoJobs.old, place.output())
        let output = place.output("job-2", overwrites: true)
        try output.claim()
        try place.stage(TwoJobs.new, output)
        var steps = 0
        let failure = PublicationError.file(.callFailed(file: place.path, call: "rename", code: .ioError))
        let failing = { (_: String) throws(PublicationError) in
            defer { steps += 1 }
            if steps == step { throw failure }
        }
        do {
            try output.publish(by: way, onStep: failing)
            #expect(step == 5, "there are four new names and one that is dropped")
        } catch {
            #expect(error as? PublicationError == failure)
            #expect(place.contents == TwoJobs.old)
        }
        try output.publish()
        #expect(output.removeStaging() == [])
        #expect(place.contents == TwoJobs.new)
    }

    /// A process that ends between two steps reverts nothing; a restart finds the copy of the directory.
    @Test(arguments: [true, false], 0...4)
    func `a crash at every step is gone on with`(isSameOwner: Bool, step: Int) throws {
        try place.run(TwoJobs.old, place.output())
        let output = place.output("job-2", overwrites: true)
        try output.claim()
        try place.stage(TwoJobs.new, output)
        var steps = 0
        let copy = place.directory.appending("crashed")
        let path = place.path
        try output.publish(by: .atomic) { (_: String) throws(PublicationError) in
            defer { steps += 1 }
            guard steps == step else { return }
            // Preserves everything except the locks, which end with a process.
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/cp")
            process.arguments = ["-a", path.string, copy]
            try? process.run()
            process.waitUntilExit()
        }
        let moved = OutputDirectory(
            path: FilePath(copy), job: isSameOwner ? "job-2" : "job-3",
            owner: ClaimOwner(coordinator: isSameOwner ? "c1" : "c2", stateDirectory: ""), overwrites: true,
            roots: .unlimited)
        try moved.claim()
        if isSameOwner {
            try moved.publish()
            #expect(moved.removeStaging() == [])
            #expect(contents(copy) == TwoJobs.new)
        } else {
            // If nothing has moved, the computed files are kept; otherwise the publication is finished.
            #expect(contents(copy) == (step == 0 ? TwoJobs.old : TwoJobs.new))
        }
    }

    private func contents(_ directory: String) -> [String: String] {
        var found: [String: String] = [:]
        for (path, status) in Directories.entries(below: FilePath(directory)) where status.kind == .file {
            guard !path.hasPrefix(".kfacd-") else { continue }
            found[path] = try? String(contentsOfFile: "\(directory)/\(path)", encoding: .utf8)
        }
        return found
    }

    @Test(arguments: 0...2)
    func `an exchange in steps that a crash cut is settled`(done: Int) throws {
        for (name, text) in [("new", "n"), ("old", "o")] {
            try FileManager.default.createDirectory(
                atPath: place.directory.appending(name), withIntermediateDirectories: true)
            try place.directory.write(Array(text.utf8), to: "\(name)/file")
        }
        let root = FilePath(place.directory.path)
        let (new, old, aside) = (root.appending("new"), root.appending("old"), root.appending("aside"))
        if done > 0 { try Rename.move(old, to: aside) }
        if done > 1 { try Rename.move(new, to: old) }
        if done == 0 { try Rename.exchange(new, with: old, aside: aside, by: .steps) }
        if done == 1 { try Rename.move(new, to: old) }
        Rename.settle(new, aside: aside)
        #expect(try place.directory.read("new/file") == Array("o".utf8))
        #expect(try place.directory.read("old/file") == Array("n".utf8))
        #expect(!Directories.exists(aside))
    }

    @Test func `what is published stays when it is published again before that is known`() throws {
        let output = place.output()
        try output.claim()
        try place.stage(TwoJobs.new, output)
        try output.publish()
        try output.publish()
        #expect(place.contents == TwoJobs.new)
        #expect(output.lastUnusableRow == 0, "files of this job would be written anew")
        output.removeStaging()
        #expect(!output.isStaged)
        #expect(place.contents == TwoJobs.new)
    }

    @Test func `what comes between admission and publication is not replaced, and what was computed is kept`() throws {
        let output = place.output()
        try output.claim()
        try place.stage(TwoJobs.new, output)
        try place.write("theirs", to: "merged/model.safetensors")
        #expect(
            throws: PublicationError.kept(
                staging: output.staging,
                cause:
                    "the output directory \(place.path) is not empty (it holds \"merged\"). Choose another, or allow it "
                    + "with --overwrite.")
        ) { try output.publish() }
        #expect(place.contents == ["merged/model.safetensors": "theirs"])
        #expect(output.discard() == output.staging)
        #expect(Directories.exists(output.staging.appending("merged").appending("model.safetensors")))
        #expect(place.names == [".kfacd-job-1-c1", "merged"])
    }

    @Test func `a file that comes between the last look and the exchange is kept and named`() throws {
        try place.run(TwoJobs.old, place.output())
        let output = place.output("job-2", overwrites: true)
        try output.claim()
        try place.stage(TwoJobs.new, output)
        let place = place
        try output.publish(by: .atomic) { (name: String) throws(PublicationError) in
            if name == "merged" { try? place.write("late", to: "merged/late.txt") }
        }
        #expect(output.removeStaging() == [output.staging.appending("merged").appending("late.txt")])
        #expect(place.contents == TwoJobs.new)
    }

    @Test func `staged files that are gone are no success`() throws {
        let output = place.output()
        try output.claim()
        #expect(throws: PublicationError.vanished(staging: output.staging)) { try output.publish() }
    }

    @Test func `a staging directory made anew says which rows are void`() throws {
        let output = place.output()
        #expect(output.lastUnusableRow == nil)
        try output.renew(after: 41)
        #expect(output.lastUnusableRow == 41)
        try place.run(["report.json": "new"], output)
        #expect(place.contents == ["report.json": "new"])
    }

    @Test func `the list names every file with its size and digest, the job and the coordinator`() throws {
        try place.run(["report.json": "abc", "merged/x": ""], place.output())
        let list = try #require(try OutputManifest(in: place.path))
        #expect(list.job == "job-1" && list.coordinator == "c1" && list.directories == ["merged"])
        // The digests of no bytes and of "abc", from FIPS 180-2.
        #expect(
            list.files == [
                .init(
                    path: "merged/x", byteCount: 0,
                    digest: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
                .init(
                    path: "report.json", byteCount: 3,
                    digest: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ])
    }
}
