import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import Publication

/// Interrupted publications whose files are changed before they continue.
@Suite struct ChangedPublicationTests {
    private let place: PublishedDirectory

    init() throws { place = try PublishedDirectory() }

    /// An output directory after a crash before a step, and the same job's view of it.
    private func crashed(at step: Int, overOld: Bool = true) throws -> OutputDirectory {
        if overOld { try place.run(TwoJobs.old, place.output()) }
        let output = place.output("job-2", overwrites: true)
        try output.claim()
        try place.stage(TwoJobs.new, output)
        let copy = place.directory.appending("crashed")
        let path = place.path
        var steps = 0
        try output.publish(by: .atomic) { (_: String) throws(PublicationError) in
            defer { steps += 1 }
            if steps == step { try? FileManager.default.copyItem(atPath: path.string, toPath: copy) }
        }
        let found = OutputDirectory(
            path: FilePath(copy), job: "job-2", owner: ClaimOwner(coordinator: "c1", stateDirectory: ""),
            overwrites: true, roots: .unlimited)
        try found.claim()
        return found
    }

    /// Changes the new checkpoint, in either place, and keeps its size.
    private func damage(_ output: OutputDirectory) throws {
        let name = FilePath("merged/model.safetensors")
        let places = [output.path.pushing(name), output.staging.pushing(name)]
        let file = try #require(places.first { FileManager.default.fileExists(atPath: $0.string) })
        try Data("neW".utf8).write(to: URL(fileURLWithPath: file.string))
    }

    private func contents(_ output: OutputDirectory) -> [String: String] {
        var found: [String: String] = [:]
        for (path, status) in Directories.entries(below: output.path) where status.kind == .file {
            guard !path.hasPrefix(".kfacd-") else { continue }
            found[path] = try? String(contentsOfFile: output.path.pushing(FilePath(path)).string, encoding: .utf8)
        }
        return found
    }

    @Test(arguments: 0...4, [true, false])
    func `a file that was changed in the middle is not published, nor the old one in its place`(
        step: Int, overOld: Bool
    ) throws {
        // Without an earlier job there is nothing to drop, and so one step less.
        let output = try crashed(at: min(step, overOld ? 4 : 3), overOld: overOld)
        try damage(output)
        #expect(try !output.canGoOn())
        #expect(contents(output) == (overOld ? TwoJobs.old : [:]))
        try place.stage(TwoJobs.new, output)
        #expect(try !output.canGoOn(), "it has not begun again")
        try output.publish()
        _ = output.removeStaging()
        #expect(contents(output) == TwoJobs.new)
        #expect(try OutputManifest(in: output.path)?.job == "job-2")
    }

    @Test(arguments: 0...4)
    func `who goes on without looking is refused, and the old files stand`(step: Int) throws {
        let output = try crashed(at: step)
        try damage(output)
        #expect(throws: PublicationError.vanished(staging: output.staging.appending("merged"))) {
            try output.publish()
        }
        #expect(contents(output) == TwoJobs.old)
    }

    @Test(arguments: 0...4)
    func `a publication whose files are as they were is gone on with`(step: Int) throws {
        let output = try crashed(at: step)
        #expect(try output.canGoOn())
        try output.publish()
        #expect(output.removeStaging() == [])
        #expect(contents(output) == TwoJobs.new)
    }

    @Test func `what was kept may be moved to its names by hand, and stays there`() throws {
        let output = place.output()
        try output.claim()
        try place.stage(TwoJobs.new, output)
        try place.write("theirs", to: "merged/model.safetensors")
        #expect(throws: PublicationError.self) { try output.publish() }
        #expect(output.discard() == output.staging)
        try Directories.remove(place.path.appending("merged"))
        for name in ["merged", "inverses", "report.json"] {
            try Rename.move(output.staging.appending(name), to: place.path.appending(name))
        }
        #expect(place.output().removeRemains(hasSucceeded: false) == [output.staging])
        #expect(place.contents == TwoJobs.new)
    }

    /// A job whose files are kept, because another file was in the way.
    private func kept() throws -> OutputDirectory {
        let output = place.output()
        try output.claim()
        try place.stage(TwoJobs.new, output)
        try place.write("theirs", to: "merged/model.safetensors")
        #expect(throws: PublicationError.self) { try output.publish() }
        #expect(output.discard() == output.staging)
        return output
    }

    @Test func `what was kept is published when the cause is mended, and before that refused`() throws {
        let output = try kept()
        let publication = try KeptPublication(at: output.staging)
        #expect(throws: PublicationError.self) { try publication.finish(overwrites: false) }
        #expect(place.contents == ["merged/model.safetensors": "theirs"])
        try Directories.remove(place.path.appending("merged"))
        #expect(try publication.finish(overwrites: false) == [])
        #expect(place.contents == TwoJobs.new)
        #expect(!Directories.exists(output.staging))
        #expect(!place.names.contains(".kfacd-claim"))
        #expect(throws: PublicationError.nothingKept(at: output.staging)) { try KeptPublication(at: output.staging) }
    }

    @Test func `what was kept replaces an earlier job only when it may`() throws {
        let output = try kept()
        try Directories.remove(place.path.appending("merged"))
        try place.run(TwoJobs.old, place.output("job-2"))
        #expect(throws: PublicationError.self) { try KeptPublication(at: output.staging).finish(overwrites: false) }
        #expect(place.contents == TwoJobs.old)
        try KeptPublication(at: output.staging).finish(overwrites: true)
        #expect(place.contents == TwoJobs.new)
    }

    @Test func `what was kept and changed since is not published, and stays`() throws {
        let output = try kept()
        try Directories.remove(place.path.appending("merged"))
        try damage(output)
        #expect(throws: PublicationError.changed(staging: output.staging)) {
            try KeptPublication(at: output.staging).finish(overwrites: false)
        }
        #expect(place.contents == [:])
        #expect(Directories.exists(output.staging))
    }

    @Test func `what was kept changes no name that a later job has`() throws {
        try place.run(TwoJobs.old, place.output())
        let output = place.output("job-2", overwrites: true)
        try output.claim()
        try place.stage(TwoJobs.old.merging(["report.json": "second"]) { $1 }, output)
        let failure = PublicationError.file(.callFailed(file: place.path, call: "rename", code: .permissionDenied))
        #expect(throws: PublicationError.self) {
            try output.publish(by: .atomic) { (_: String) throws(PublicationError) in throw failure }
        }
        #expect(output.discard() == output.staging)
        try place.run(TwoJobs.new, place.output("job-3", overwrites: true))
        #expect(place.output("job-2").removeRemains(hasSucceeded: false) == [output.staging])
        #expect(place.contents == TwoJobs.new)
    }

    @Test(arguments: [true, false])
    func `the claim of a job whose end is known goes with its remains`(hasSucceeded: Bool) throws {
        try place.run(TwoJobs.old, place.output())
        // The state that a process leaves when it ends before it releases the directory.
        var output: OutputDirectory? = place.output(state: place.directory.path)
        try output?.claim()
        output = nil
        #expect(place.names.contains(".kfacd-claim"))
        let later = place.output(state: place.directory.path)
        #expect(later.removeRemains(hasSucceeded: hasSucceeded) == [])
        #expect(!Directories.exists(place.path.appending(".kfacd-claim")))
        #expect(place.contents == TwoJobs.old)
    }
}
