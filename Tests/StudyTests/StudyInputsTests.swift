import Laboratory
import ReferenceModel
import SystemPackage
import TestSupport
import Testing

@testable import Study

struct StudyInputsTests {
    private let study: TinyStudy

    init() throws { study = try TinyStudy() }

    private var directory: FilePath { FilePath(study.directory.path) }

    private func refusal(_ tasks: [String]? = nil) -> String {
        message { () throws(LaboratoryError) in _ = try StudyInputs(directory, tasks: tasks) }
    }

    @Test func `tasks come in the data's order, with their images of each split`() throws {
        try study.writeData(order: ["gamma", "alpha"])
        let inputs = try study.inputs()
        #expect(inputs.taskNames == ["gamma", "alpha", "beta"])
        #expect(inputs.train.map(\.labels.count) == [18, 18, 18])
        #expect(inputs.validation.map(\.labels.count) == [9, 9, 9])
        #expect(inputs.test.map(\.labels.count) == [12, 12, 12])
        #expect(try inputs.index(of: "alpha") == 1)
    }

    @Test func `only the named tasks and splits are read`() throws {
        let inputs = try StudyInputs(directory, tasks: ["beta"], splits: [.test])
        #expect(inputs.train.isEmpty && inputs.validation.isEmpty)
        #expect(inputs.taskNames == ["beta"])
    }

    @Test func `a task that the data name twice is one task`() throws {
        try study.writeData(order: ["beta", "beta", "alpha"])
        #expect(try study.inputs().taskNames == ["beta", "alpha", "gamma"])
    }

    @Test func `a task without a head is named`() throws {
        #expect(
            refusal(["delta"])
                == "\(directory)/heads.safetensors: no task \"delta\"; it holds alpha.head, beta.head, gamma.head.")
    }

    @Test func `a task without images is named`() throws {
        var random = SplitMix64(seed: 1)
        try study.writeHeads(["alpha", "beta", "delta", "gamma"].map { ($0, 3) }, &random)
        #expect(
            refusal(["delta"]) == "\(directory)/data.safetensors: no task \"delta\"; it holds alpha, beta, gamma.")
    }

    @Test func `a label outside the head's classes is named`() throws {
        var random = SplitMix64(seed: 1)
        try study.writeHeads([("alpha", 3), ("beta", 2), ("gamma", 3)], &random)
        #expect(
            refusal() == "task beta: a label of 2, but its head has 2 classes. "
                + "Give the data and the heads of the same study.")
    }

    @Test func `an index of no task is refused`() throws {
        let inputs = try study.inputs()
        let found = message { () throws(LaboratoryError) in _ = try inputs.index(of: "delta") }
        #expect(found == "no task \"delta\"; there are alpha, beta, gamma.")
    }

    @Test func `other tasks' inputs leave the own ones out`() throws {
        let inputs = try study.inputs()
        guard case .jacobian(let tokens, let count) = try inputs.otherInputs(without: 1) else {
            Issue.record("no Jacobian penalty")
            return
        }
        #expect(count == 36)
        #expect(tokens == inputs.train[0].tokens + inputs.train[2].tokens)
    }

    @Test func `a single task has no others`() throws {
        let inputs = try StudyInputs(directory, tasks: ["beta"])
        let found = message { () throws(LaboratoryError) in _ = try inputs.otherInputs(without: 0) }
        #expect(found == "the data holds one task only; this penalty needs others.")
    }

    @Test func `the diagonal without a task is the mean of the others`() async throws {
        let inputs = try study.inputs()
        let team = PassTeam(inputs.base.layout, laneCount: 1)
        let source = FactorSource(sampleCount: 8, probeCount: 2)
        let all = await inputs.diagonals(source, seed: 3, team: team).map(\.values)
        try #require(all.count == 3 && all[0] != all[1])
        let found = try await inputs.diagonal(without: 1, source, seed: 3, team: team).values
        expectClose(found, zip(all[0], all[2]).map { (Double($0) + Double($1)) / 2 }, relative: 1e-5, absolute: 1e-12)
    }
}
