import Identifiers
import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import Testing
import Yams

@testable import JobPlan

/// The reader and the validation, against the registry's entry of a method's parameters.
///
/// The method here has a parameter of every kind and level. No registered method has all of them.
@Suite struct MergeParameterTests {
    private static let density = MergeParameter(
        "density", .number(.above(0, to: 1)), default: .value(.number(1)), level: .jobAndModel, variesByTensor: true,
        meaning: "kept fraction")
    private static let place = MergeParameter(
        "t", .number(.from(0, to: 1)), default: .required, level: .job, variesByTensor: true, meaning: "place")
    private static let steps = MergeParameter(
        "steps", .count(1...1000), default: .value(.count(300)), level: .job, variesByTensor: false, meaning: "steps")
    private static let solver = MergeParameter(
        "solver", .word(["closed_form", "adam"]), default: .value(.word("closed_form")), level: .job,
        variesByTensor: false, meaning: "solver")
    private static let rescale = MergeParameter(
        "rescale", .truth, default: .value(.truth(false)), level: .job, variesByTensor: true, meaning: "rescaling")
    private static let ridge = MergeParameter(
        "ridge", .number(.from(0)), default: .derived("1/T"), level: .job, variesByTensor: false, meaning: "ridge")
    private static let seed = MergeParameter(
        "seed", .count(0...Int.max), default: .value(.count(0)), level: .model, variesByTensor: false, meaning: "seed")

    private static let method = MergeMethod(
        name: "trial", paper: Paper("nobody"), formula: "θ", summary: "All kinds.",
        parameters: [.weight, density, place, steps, solver, rescale, ridge, seed], modelCount: 2...2,
        scope: .elements(WeightedSum.self))

    private func read(
        _ yaml: String, isGlobal: Bool = true
    ) throws -> (parameters: MergeParameters, problems: [String], notices: [String]) {
        var reader = JobFileReader(fileName: "job.yaml")
        let node = try #require(try Yams.compose(yaml: yaml))
        let parameters = reader.readParameters(node, Self.method, isGlobal: isGlobal)
        return (parameters, reader.allProblems.map(\.description), reader.notices.map(\.description))
    }

    @Test func `every kind is read, and filtered where the grammar allows it`() throws {
        let found = try read(
            """
            {weight: 2, density: [{filter: mlp, value: 0.5}, {value: [0.25, 1]}], t: [0, 0.5, 1], steps: 10,
            solver: adam, rescale: yes, ridge: 1e-8, int8_mask: true}
            """)
        #expect(found.problems == [] && found.notices == [])
        #expect(
            found.parameters == [
                "weight": .scalar(2),
                "density": .filtered([
                    .init(filter: "mlp", value: .scalar(0.5)), .init(filter: nil, value: .gradient([0.25, 1])),
                ]),
                "t": .gradient([0, 0.5, 1]), "steps": .scalar(10), "solver": .word("adam"), "rescale": .scalar(1),
                "ridge": .scalar(1e-8),
            ])
        #expect(
            try read("{density: 0.5, seed: 7}", isGlobal: false).parameters == [
                "density": .scalar(0.5), "seed": .scalar(7),
            ])
    }

    @Test(arguments: [
        ("{density: 0}", "1:11: \"density\" is 0; expected a number above 0 and at most 1."),
        ("{density: 1.5}", "1:11: \"density\" is 1.5; expected a number above 0 and at most 1."),
        ("{weight: 1e308}", "1:10: \"weight\" is 1e+308; expected a magnitude of at most 1e+30."),
        ("{weight: [1, -1e31]}", "1:10: \"weight\" is -1e+31; expected a magnitude of at most 1e+30."),
        ("{density: [1, 0.5, -2]}", "1:11: \"density\" is -2; expected a number above 0 and at most 1."),
        (
            "{density: [{filter: mlp, value: [1, 3]}, {value: 1}]}",
            "1:11: \"density\" is 3; expected a number above 0 and at most 1."
        ),
        ("{t: -0.5}", "1:5: \"t\" is -0.5; expected a number at least 0 and at most 1."),
        ("{steps: 0}", "1:9: \"steps\" must be a whole number from 1 to 1000."),
        ("{steps: 2.5}", "1:9: \"steps\" must be a whole number from 1 to 1000."),
        ("{steps: [1, 2]}", "1:9: \"steps\" must be a whole number from 1 to 1000."),
        (
            "{solver: adm}",
            "1:10: \"solver\" must be one of closed_form, adam, not \"adm\". Did you mean \"adam\"?"
        ),
        ("{rescale: 2.5e}", "1:11: \"rescale\" must be true or false."),
        ("{ridge: -1}", "1:9: \"ridge\" is -1; expected a number at least 0."),
        ("{ridge: [1, 2]}", "1:9: \"ridge\" must be a finite number."),
        (
            "{densty: 1}",
            "1:2: unknown key \"densty\" in \"parameters\". Did you mean \"density\"? Known keys: weight, density, t, "
                + "steps, solver, rescale, ridge, int8_mask."
        ),
    ])
    func `a value that a parameter cannot have is refused with its place and what is expected`(
        yaml: String, problem: String
    ) throws {
        #expect(try read(yaml).problems == ["job.yaml:\(problem)"])
    }

    @Test func `a parameter of other methods, or of the other level, has no effect and is noted`() throws {
        let found = try read("{lambda: 2, normalize: true, gamma: 0.1, seed: 1}")
        #expect(found.parameters == [:])
        #expect(
            found.notices == [
                "job.yaml:1:2: \"lambda\" has no effect in \"parameters\", as in mergekit. Remove it.",
                "job.yaml:1:13: \"normalize\" has no effect in \"parameters\", as in mergekit. Remove it.",
                "job.yaml:1:30: \"gamma\" has no effect in \"parameters\", as in mergekit. Remove it.",
            ])
        // "seed" may be given only by a model, and is not a parameter of mergekit.
        #expect(found.problems.count == 1 && found.problems[0].contains("unknown key \"seed\""))
    }

    @Test func `linear has no lambda`() throws {
        let spec = try JobFileText(method: "linear", rest: ["parameters: {lambda: 0.5}"]).spec()
        #expect(spec.parameters == [:])
        #expect(
            spec.notices.map(\.description) == [
                "job.yaml:6:14: \"lambda\" has no effect in \"parameters\", as in mergekit. Remove it."
            ])
        #expect(MergeSettings(spec: spec, base: SmallModel().base).scale(tensor: "embed.weight") == 1)
    }

    // MARK: - Values of a tensor

    private func spec(_ parameters: MergeParameters, model: MergeParameters = [:]) throws -> JobSpec {
        var spec = try JobFileText().spec()
        spec.method = Self.method
        spec.parameters = parameters
        spec.tasks[0].parameters = model
        return spec
    }

    @Test func `a model's own value precedes the job's, and a tensor without one is left to the default`() throws {
        let spec = try spec(
            ["density": .scalar(0.5), "solver": .word("adam"), "t": .scalar(0.25), "rescale": .scalar(1)],
            model: ["density": .filtered([.init(filter: "fc1", value: .scalar(0.75))]), "seed": .scalar(3)])
        let settings = MergeSettings(spec: spec, base: SmallModel().base)
        #expect(
            settings.arguments(tensor: "fc1.weight")
                == MergeArguments(["solver": .word("adam"), "t": .number(0.25), "rescale": .truth(true)]))
        #expect(
            settings.arguments(of: spec.tasks[0], tensor: "fc1.weight")
                == MergeArguments(["density": .number(0.75), "seed": .count(3)]))
        #expect(
            settings.arguments(of: spec.tasks[0], tensor: "fc2.weight")
                == MergeArguments(["density": .number(0.5), "seed": .count(3)]))
        #expect(
            settings.arguments(of: spec.tasks[1], tensor: "fc1.weight") == MergeArguments(["density": .number(0.5)]))
    }

    @Test func `a required parameter must reach every tensor`() throws {
        let model = SmallModel()
        func problems(_ parameters: MergeParameters) throws -> [String] {
            let spec = try spec(parameters)
            return spec.problems(against: model.inventory(for: spec)).map(\.description)
        }
        #expect(try problems(["t": .scalar(0.5)]) == [])
        func message(_ tensor: String) -> String {
            "job.yaml: the merge method \"trial\" needs the parameter \"t\", which tensor \"\(tensor)\" does not get; "
                + "expected a number at least 0 and at most 1. Write it under \"parameters\"."
        }
        #expect(try problems([:]) == [message("embed.weight")])
        let filtered: MergeParameters = [
            "t": .filtered([.init(filter: "embed", value: .scalar(0)), .init(filter: "fc1", value: .scalar(1))])
        ]
        #expect(try problems(filtered) == [message("fc2.weight")])
    }

    @Test(arguments: [1, 3])
    func `a method over exactly two models refuses another number`(count: Int) throws {
        var spec = try JobFileText(models: (0..<count).map { "- model: models/m\($0)" }).spec()
        spec.method = Self.method
        spec.parameters = ["t": .scalar(0.5)]
        #expect(
            spec.problems(against: SmallModel().inventory(for: spec)).map(\.description) == [
                "job.yaml: the merge method \"trial\" merges 2 models; the job has \(count). List as many, or use another "
                    + "method."
            ])
    }

    @Test(arguments: [("-0.5", "-0.5", "base"), ("[0, 1.5]", "1.5", "model")])
    func `a share outside of the way between two models is a remark`(
        value: String, shown: String, end: String
    ) throws {
        func notices(_ value: String) throws -> [String] {
            let spec = try JobFileText(method: "slerp", models: ["- model: a"], rest: ["parameters: {t: \(value)}"])
                .spec()
            return spec.allNotices(against: JobInventory(base: SmallModel().base)).map(\.description)
        }
        #expect(
            try notices(value).contains {
                $0.hasSuffix(
                    "\"t\" is \(shown), so \"slerp\" extrapolates beyond the \(end); between both it is 0 to 1.")
            })
        #expect(try !notices("[0, 1]").contains { $0.contains("extrapolates") })
    }
}
