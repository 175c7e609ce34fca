import Identifiers
import Testing
import UnitOperations

@testable import JobPlan

/// Groups of layers with a strength of their own in the regularizer.
@Suite struct PenaltyGroupTests {
    private static let models = ["- {model: models/a, captures: a}", "- {model: models/b, captures: b}"]
    private static let outputs = "outputs: [regularizer, report]"

    private func found(_ groups: String, outputs: String = outputs) throws -> [String] {
        let spec = try JobFileText(models: Self.models, rest: ["kfac: {groups: \(groups)}", outputs]).spec()
        return spec.problems(against: SmallModel().inventory(for: spec)).map(\.description)
    }

    @Test func `the first group that matches counts, and 1 outside of all`() throws {
        let spec = try JobFileText(
            models: Self.models,
            rest: ["kfac: {groups: [{layers: '*.norm*', strength: 10}, {layers: ['*', '!head'], strength: 1e-3}]}"]
        ).spec()
        let strengths = ["a.norm.weight", "fc1", "head"].map(spec.curvature.strength)
        #expect(strengths == [10, 1e-3, 1])
        #expect(spec.outputs == [.merged, .regularizer, .report])
    }

    @Test func `groups that fit have no problems`() throws {
        #expect(try found("[{layers: ['norm*'], strength: 0}, {layers: ['!norm*'], strength: 2}]") == [])
    }

    @Test(arguments: [
        ("[]", "6:16: \"groups\" must be a list of at least one mapping {layers, strength}."),
        ("{a: 1}", "6:16: \"groups\" must be a list of at least one mapping {layers, strength}."),
        ("[{layers: x}]", "6:17: a group needs \"layers\" and \"strength\"; it has only one of them, or none."),
        (
            "[{layers: x, strength: -1}]",
            "6:39: the strength is -1.0; expected a number of at least 0 that fp32 can hold."
        ),
        (
            "[{layers: x, strength: 1e39}]",
            "6:39: the strength is 1e+39; expected a number of at least 0 that fp32 can hold."
        ),
        ("[{layers: x, strength: .inf}]", "6:39: \"strength\" must be a finite number."),
        ("[{layers: x, strength: .nan}]", "6:39: \"strength\" must be a finite number."),
        (
            "[{layers: x, strength: 1, w: 2}]",
            "6:42: unknown key \"w\" in a group. Known keys: layers, strength."
        ),
    ])
    func `a group that cannot be is refused`(groups: String, problem: String) {
        let text = JobFileText(models: Self.models, rest: ["kfac: {groups: \(groups)}", Self.outputs])
        #expect(problems(in: text.yaml) == ["job.yaml:\(problem)"])
    }

    @Test func `a group without effect is refused with the cause`() throws {
        #expect(
            try found("[{layers: ['nrom.weight'], strength: 2}]") == [
                "job.yaml:6:27: the pattern \"nrom.weight\" of \"groups\" matches none of the 3 layers and parameters with "
                    + "curvature. Did you mean \"norm.weight\"?"
            ])
        #expect(
            try found("[{layers: 'fc*', strength: 2}, {layers: fc1, strength: 3}]") == [
                "job.yaml:6:47: this group has no layer: earlier groups have all that it matches, and the first that matches "
                    + "counts. Write it before them, or remove it."
            ])
        #expect(
            try found("[{layers: 'fc*', strength: 2}]", outputs: "outputs: [factors]") == [
                "job.yaml:6:17: \"groups\" gives strengths to parts of the regularizer, which the job does not write. Add "
                    + "\"regularizer\" to \"outputs\", or remove \"groups\"."
            ])
    }
}
