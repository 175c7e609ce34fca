import JobPlan
import Publication
import Safetensors
import SystemPackage
import TestSupport
import Testing
import UnitOperations

@testable import Admission

/// The check of job files, with real files.
@Suite struct JobAdmissionTests {
    private let input: SmallInput

    init() throws { input = try SmallInput() }

    @Test func `a job is planned from its files, and nothing is written`() throws {
        let before = try input.directory.names()
        let job = try input.admit(input.job())
        #expect(job.plan.units.count > 2)
        #expect(job.plan.inventory.files.map(\.role) == ["base", "checkpoint of task \"t\"", "capture of task \"t\""])
        #expect(
            job.inputs.files.map { $0.path.lastComponent?.string }
                == ["base", "model", "rows"].map { "\($0).safetensors" })
        #expect(job.output.path.string == input.directory.appending("out"))
        try input.preview(input.job())
        #expect(try input.directory.names() == before)
    }

    @Test func `a summary counts the units of the plan by stage`() throws {
        let plan = try input.admit(input.job()).plan
        let summary = PlanSummary(of: plan)
        #expect(summary.stages.map(\.units).reduce(0, +) == plan.units.count)
        #expect((summary.tasks, summary.layers, summary.parameters) == (1, 1, 0))
        #expect(summary.stages.allSatisfy { $0.knownUnits == 0 })
        let known = Set(plan.units.prefix(2).map(\.index))
        #expect(PlanSummary(of: plan, known: known).stages.map(\.knownUnits).reduce(0, +) == 2)
    }

    @Test func `a problem of the headers is refused with the same words by both checks`() throws {
        let job = input.job(captures: ["rows", "none-*"])
        let problems = input.problems { () throws(JobRefusal) in _ = try input.admit(job) }
        #expect(problems.count == 1 && problems[0].contains("matches no file"), "\(problems)")
        #expect(input.problems { () throws(JobRefusal) in try input.preview(job) } == problems)
    }

    @Test func `what only contents show is left to the one that runs the job`() throws {
        try input.writeCapture("again")
        let job = input.job(captures: ["rows", "again"])
        #expect(input.problems { () throws(JobRefusal) in try input.preview(job) } == [])
        #expect(
            input.problems { () throws(JobRefusal) in _ = try input.admit(job) } == [
                "again.safetensors: the capture holds the same rows as rows.safetensors: task \"t\" would count them twice. "
                    + "Remove one of them, or narrow \"captures\"."
            ])
    }

    @Test func `problems of headers and contents are reported together`() throws {
        try input.writeCapture("again")
        let job = input.job(captures: ["rows", "again", "none-*"])
        let problems = input.problems { () throws(JobRefusal) in try input.preview(job) }
        #expect(problems.count == 2, "\(problems)")
        #expect(problems.contains { $0.contains("matches no file") } && problems.contains { $0.contains("twice") })
        #expect(input.problems { () throws(JobRefusal) in _ = try input.admit(job) } == problems)
    }

    @Test func `the wrong base is found by its digest, when the job begins`() throws {
        let digest = String(repeating: "0", count: 64)
        try input.writeCapture("other", metadata: ["sha256_base": digest])
        let job = input.job(captures: ["other"])
        #expect(input.problems { () throws(JobRefusal) in try input.preview(job) } == [])
        let problems = input.problems { () throws(JobRefusal) in _ = try input.admit(job) }
        #expect(
            problems.count == 1 && problems[0].contains("belongs to a base with the digest \(digest)"), "\(problems)")
    }

    @Test func `a head that is tied to its embedding is no problem of the headers`() throws {
        try input.write("tied", ["fc.weight": [2, 3], "embed.weight": [3, 2], "head.weight": [3, 2]])
        try input.write("model", ["fc.weight": [2, 3], "embed.weight": [3, 2]], firstByte: 1)
        let job = input.job(base: "tied", outputs: "merged")
        #expect(input.problems { () throws(JobRefusal) in try input.preview(job) } == [])
    }

    @Test func `a unit that is too large for every worker is named`() throws {
        let problems = input.problems { () throws(JobRefusal) in
            try input.preview(input.job(), workerMemories: [1 << 20, 2 << 20])
        }
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.contains("the largest worker offers 2 MiB. Start a worker with more") == true)
        // Without workers nothing is compared.
        #expect(input.problems { () throws(JobRefusal) in try input.preview(input.job(), workerMemories: []) } == [])
    }

    @Test func `a cancelled check is an interruption and no list of problems`() async throws {
        let input = input
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try input.preview(input.job(captures: ["missing"]))
        }
        await #expect(throws: JobRefusal(interruption: "the check was ended")) { try await task.value }
    }
}
