import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import Publication

/// An output directory belongs to one job from its admission to its publication.
@Suite struct OutputClaimTests {
    private let place: PublishedDirectory

    init() throws { place = try PublishedDirectory() }

    private func refusal(_ output: OutputDirectory) -> String {
        do {
            try output.claim()
            return "none"
        } catch {
            return error.description
        }
    }

    @Test(arguments: [("job-2", "c1"), ("job-1", "c2")])
    func `of two jobs one has the directory, and the other learns whose it is`(job: String, coordinator: String) throws
    {
        let first = place.output()
        try first.claim()
        let found = refusal(place.output(job, of: coordinator, overwrites: true))
        #expect(
            found.hasPrefix("the output directory \(place.path) is that of job-1 of the coordinator c1 on "), "\(found)"
        )
        #expect(found.hasSuffix(", which is running. Choose another, or wait."), "\(found)")
        first.discard()
        #expect(refusal(place.output(job, of: coordinator)) == "none")
    }

    @Test func `a link to the directory leads to the same claim`() throws {
        let first = place.output()
        try first.claim()
        let link = FilePath(place.directory.appending("link"))
        try FileManager.default.createSymbolicLink(atPath: link.string, withDestinationPath: place.path.string)
        let second = OutputDirectory(
            path: link, job: "job-2", owner: ClaimOwner(coordinator: "c2", stateDirectory: ""), overwrites: true,
            roots: .unlimited)
        #expect(refusal(second).contains("is that of job-1 of the coordinator c1"))
    }

    @Test func `a directory below what another job publishes is refused`() throws {
        let first = place.output()
        try first.claim()
        func problems(_ name: String) -> [String] {
            OutputDirectory(
                path: place.path.pushing(FilePath(name)), job: "job-2",
                owner: ClaimOwner(coordinator: "c2", stateDirectory: ""), overwrites: false, roots: .unlimited
            ).problems(publishing: [])
        }
        #expect(problems("merged/x").first?.contains("lies in that of job-1 of the coordinator c1") == true)
        #expect(problems("second") == [])
        first.discard()
    }

    @Test func `the same job takes its claim up again after a restart, with what was made for it`() throws {
        do { try place.output(state: "/state").claim() }
        let again = place.output(state: "/state")
        try again.claim()
        again.discard()
        #expect(!Directories.exists(place.path))
    }

    @Test func `a claim of a run that is gone is taken over, and what it had staged goes`() throws {
        do {
            let first = place.output()
            try first.claim()
            try place.stage(TwoJobs.old, first)
        }
        let second = place.output("job-1", of: "c2")
        try second.claim()
        #expect(place.names == [".kfacd-claim"])
    }

    @Test func `a claim of a coordinator that will go on with its job waits for it`() throws {
        let state = try TemporaryDirectory()
        let name = try CoordinatorIdentity.open(in: FilePath(state.path))
        do { try place.output(of: name, state: state.path).claim() }
        let other = place.output("job-1", of: "c2")
        #expect(refusal(other).contains("does not run at the moment and will go on with the job"))
        // Its state is gone, so nobody will continue the job.
        try state.remove("coordinator.json")
        #expect(refusal(other) == "none")
    }

    @Test func `a claim of a later version is refused with both versions`() throws {
        try place.write("{\"format\": \"kfacd.claim/2\"}", to: ".kfacd-claim")
        #expect(
            refusal(place.output())
                == "\(place.path)/.kfacd-claim: is of version \"kfacd.claim/2\"; this program knows \"kfacd.claim/1\". Use "
                + "the newer kfacd, or another directory.")
    }

    @Test func `a claim that was cut in the middle of writing is nobody's`() throws {
        try place.write("{\"format\": \"kfa", to: ".kfacd-claim")
        #expect(refusal(place.output()) == "none")
    }

    @Test func `a coordinator keeps its name, and one of a later version is refused`() throws {
        let state = try TemporaryDirectory()
        let name = try CoordinatorIdentity.open(in: FilePath(state.path))
        #expect(try CoordinatorIdentity.open(in: FilePath(state.path)) == name)
        try state.write(Array("{\"format\": \"kfacd.coordinator/2\", \"id\": \"a\"}".utf8), to: "coordinator.json")
        #expect(
            throws: PublicationError.newerVersion(
                file: FilePath(state.path).appending("coordinator.json"), found: "kfacd.coordinator/2",
                known: "kfacd.coordinator/1")
        ) { try CoordinatorIdentity.open(in: FilePath(state.path)) }
    }
}
