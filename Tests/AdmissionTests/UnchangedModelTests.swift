import JobPlan
import TestSupport
import Testing

@testable import Admission

/// Models that hold the base's values, with real files.
@Suite struct UnchangedModelTests {
    private let input: SmallInput

    init() throws {
        input = try SmallInput()
        try input.write("model", ["fc.weight": [2, 3]])
    }

    private func job(_ lines: [String] = [], parameters: String = "", outputs: String = "merged") -> Submission {
        Submission(
            specText: """
                merge_method: task_arithmetic
                base_model: base.safetensors
                models:
                  - {name: t, model: model.safetensors\(parameters)}
                outputs: [\(outputs)]
                output: out
                """ + lines.map { "\n\($0)" }.joined(), specPath: input.directory.appending("job.yaml"),
            overwrites: false)
    }

    private func problems(_ job: Submission) -> [String] {
        input.problems { () throws(JobRefusal) in _ = try input.admit(job) }
    }

    private static let message =
        "model.safetensors: the model of task \"t\" contributes to no tensor: 1 of its tensors are merged with a weight "
        + "other than 0, and every one holds the values of the base base.safetensors. Name the model that was trained, "
        + "remove the entry, or write \"allow_unchanged: [t]\" to merge it all the same."

    @Test func `a copy of the base is refused`() throws {
        #expect(problems(job()) == [Self.message])
    }

    @Test func `a difference in the last element is enough`() throws {
        // Neither the first, the middle nor the last bytes of a tensor differ, only others.
        let shapes = ["fc.weight": [256, 64]]
        try input.write("base", shapes)
        try input.write("model", shapes)
        #expect(problems(job()).count == 1)
        var bytes = try input.directory.read("model.safetensors")
        bytes[bytes.count - 6000] ^= 1
        try input.directory.write(bytes, to: "model.safetensors")
        #expect(problems(job()) == [])
    }

    @Test(arguments: ["allow_unchanged: true", "allow_unchanged: [t]", "allow_unchanged: t"])
    func `a job may allow it`(line: String) throws {
        #expect(problems(job([line])) == [])
    }

    @Test(arguments: ["allow_unchanged: false"]) func `a job may say that it does not`(line: String) throws {
        #expect(problems(job([line])) == [Self.message])
    }

    @Test func `only tensors that are merged count`() throws {
        try input.write("base", ["fc.weight": [2, 3], "other.weight": [1]])
        try input.write("model", ["fc.weight": [2, 3], "other.weight": [1]], firstByte: 1)
        let same = "ignore: [\"other.weight\"]"
        #expect(problems(job([same])) == [])
        try input.write("base", ["fc.weight": [2, 3], "other.weight": [1]], firstByte: 1)
        #expect(problems(job([same])) == [Self.message])
    }

    @Test func `a model of weight 0 and a job without a merge are not compared`() throws {
        #expect(problems(job(parameters: ", parameters: {weight: 0}")) == [])
        #expect(
            problems(job(parameters: ", captures: [rows.safetensors]", outputs: "factors")) == [])
    }

    @Test func `an entry of the base itself is meant`() throws {
        let other = Submission(
            specText: """
                merge_method: linear
                base_model: base.safetensors
                models:
                  - {name: t, model: ./base.safetensors}
                  - {name: u, model: other.safetensors}
                output: out
                """, specPath: input.directory.appending("job.yaml"), overwrites: false)
        try input.write("other", ["fc.weight": [2, 3]], firstByte: 1)
        #expect(problems(other) == [])
    }
}
