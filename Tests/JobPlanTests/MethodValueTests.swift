import Identifiers
import JobPlan
import RandomNumbers
import TaskArithmetic
import Testing
import UnitOperations

/// Values of a method's parameters that do not fit each other, and what a plan makes of those that do.
struct MethodValueTests {
    private func problems(_ method: String, _ models: [String], rest: [String] = []) throws -> [String] {
        let spec = try JobFileText(method: method, models: models, rest: rest).spec()
        return spec.problems(against: SmallModel().inventory(for: spec)).map(\.description)
    }

    @Test(arguments: ["ties", "della", "dare_ties", "breadcrumbs_ties"])
    func `a negated model is refused where the weights that agree divide`(method: String) throws {
        let models = ["- model: a", "- {model: b, parameters: {weight: [{filter: fc1, value: -0.5}]}}"]
        #expect(try problems(method, models, rest: ["parameters: {normalize: false}"]) == [])
        #expect(
            try problems(method, models, rest: ["parameters: {normalize: true}"]) == [
                "job.yaml: the merge method \"\(method)\" divides by the weights of the models that agree, which undoes "
                    + "the weight -0.5 of \"b\" in tensor \"fc1.bias\"; expected weights of at least 0. Write "
                    + "\"normalize: false\", or use \"task_arithmetic\"."
            ])
    }

    @Test(arguments: ["della", "della_linear"])
    func `a density and an epsilon outside of probabilities are refused`(method: String) throws {
        func problems(_ parameters: String) throws -> [String] {
            try self.problems(method, ["- model: a", "- model: b"], rest: ["parameters: {\(parameters)}"])
        }
        #expect(try problems("density: 0.5") == [])
        #expect(try problems("density: 1, epsilon: 0.3") == [])
        for (density, epsilon) in [("0.1", "0.15"), ("0.9", "0.1"), ("0.5", "0.5")] {
            #expect(
                try problems("density: \(density), epsilon: \(epsilon)") == [
                    "job.yaml: the merge method \"\(method)\" keeps elements of \"a\" in tensor \"embed.weight\" with the "
                        + "density \(density) ± epsilon \(epsilon); expected both bounds between 0 and 1. Lower "
                        + "\"epsilon\"."
                ])
        }
    }

    @Test func `the whole model has one density, and at most sixteen models`() throws {
        let scope = "parameters: {scope: model, density: 0.2}"
        let varied = ["- model: a", "- {model: b, parameters: {density: [{filter: fc1, value: 0.5}]}}"]
        #expect(
            try problems("ties", varied, rest: [scope]) == [
                "job.yaml: the merge method \"ties\" needs one density for the whole of \"b\", but tensor \"fc1.bias\" has "
                    + "0.5 and another 0.2. Write one number, or \"scope: tensor\"."
            ])
        #expect(try problems("ties", varied) == [])
        let many = (1...17).map { "- model: m\($0)" }
        #expect(try problems("ties", Array(many.prefix(16)), rest: [scope]) == [])
        #expect(
            try problems("ties", many, rest: [scope]) == [
                "job.yaml: the merge method \"ties\" compares at most 16 models as a whole; \"m17\" is number 17. Write "
                    + "\"scope: tensor\"."
            ])
    }

    @Test(arguments: [("0", "0"), ("1.5", "1.5"), ("-0.5", "-0.5")])
    func `a density outside of 0 to 1 is refused`(written: String, told: String) {
        let text = JobFileText(method: "ties", rest: ["parameters: {density: \(written)}"])
        #expect(
            JobPlanTests.problems(in: text.yaml) == [
                "job.yaml:6:23: \"density\" is \(told); expected a number above 0 and at most 1."
            ])
    }

    @Test func `slerp takes the base and one model`() throws {
        let rest = ["parameters: {t: 0.5}"]
        #expect(try problems("slerp", ["- model: a"], rest: rest) == [])
        #expect(try problems("slerp", ["- model: models/base", "- model: a"], rest: rest) == [])
        #expect(
            try problems("slerp", ["- model: a", "- model: b"], rest: rest) == [
                "job.yaml: the merge method \"slerp\" merges 2 models; the job has 3. List as many, or use another method."
            ])
        #expect(
            JobPlanTests.problems(in: "merge_method: slerp\nmodels: [{model: a}, {model: b}]\noutput: out\n") == [
                "job.yaml:1:1: the key \"base_model\" is missing."
            ])
    }

    // MARK: - The plan

    private func plan(_ text: JobFileText) throws -> JobPlan {
        let spec = try text.spec()
        return try JobPlan(spec: spec, inventory: SmallModel().inventory(for: spec))
    }

    private func merge(of tensor: String, in plan: JobPlan) throws -> MergeOperation {
        let output = plan.products[tensor, .tensorMerge] ?? plan.products[tensor, .tensorMeasurement]
        let unit = try #require(output).unit
        return try #require(plan.units[unit.position].operation as? MergeOperation)
    }

    @Test func `random numbers follow from the seed and the names`() throws {
        let text = JobFileText(method: "dare_ties", rest: ["parameters: {density: 0.5, random_seed: 9}"])
        let merge = try merge(of: "fc1.weight", in: try plan(text))
        #expect(
            merge.tasks.map(\.randomStream)
                == ["a", "b"].map { RandomStream(seed: 9, task: $0, tensor: "fc1.weight") })
        let unseeded = try plan(JobFileText(method: "della"))
        #expect(
            try self.merge(of: "norm.weight", in: unseeded).tasks[0].randomStream
                == RandomStream(seed: 0, task: "a", tensor: "norm.weight"))
        let certain = try plan(JobFileText(method: "ties"))
        #expect(try self.merge(of: "norm.weight", in: certain).tasks.allSatisfy { $0.randomStream == nil })
    }

    @Test func `slerp reads the base as a model, first`() throws {
        let merge = try merge(
            of: "fc1.weight",
            in: try plan(JobFileText(method: "slerp", models: ["- model: a"], rest: ["parameters: {t: 0.5}"])))
        #expect(merge.base.isEmpty)
        #expect(merge.tasks.map(\.place) == [0, 1])
        #expect(merge.tasks.map(\.weight) == [1, 1])
    }

    @Test func `a base that is given is the origin of nuslerp, listed or not, and a model of karcher`() throws {
        let pair = ["- model: a", "- {model: b, parameters: {weight: 3}}"]
        let origin = try merge(of: "fc1.weight", in: try plan(JobFileText(method: "nuslerp", models: pair)))
        #expect(origin.base.isEmpty)
        #expect(origin.tasks.map(\.weight) == [0, 1, 3])
        #expect(origin.tasks.map(\.place) == [0, 1, 2])
        let listed = ["- {model: models/base, parameters: {weight: 7}}"] + pair
        let same = try merge(of: "fc1.weight", in: try plan(JobFileText(method: "nuslerp", models: listed)))
        #expect(same.tasks.map(\.weight) == [0, 1, 3])
        #expect(
            try problems("nuslerp", ["- model: models/base", "- model: b"]) == [
                "job.yaml: the merge method \"nuslerp\" merges 2 models; the job has 1. List as many, or use another "
                    + "method."
            ])
        let three = try merge(of: "fc1.weight", in: try plan(JobFileText(method: "karcher")))
        #expect(three.tasks.map(\.weight) == [1, 1, 1])
    }

    @Test func `nearswap refuses to move away`() throws {
        #expect(
            try problems("nearswap", ["- model: a"], rest: ["parameters: {t: -1}"]) == [
                "job.yaml: the merge method \"nearswap\" moves elements by at most t, which is -1 in tensor "
                    + "\"embed.weight\"; expected at least 0."
            ])
    }

    @Test func `the whole model is measured in a round for each digit`() throws {
        let rest = ["parameters: {scope: model, density: 0.2}"]
        let measured = try plan(JobFileText(method: "ties", rest: rest))
        #expect(measured.statistics.count == 4)
        #expect(try merge(of: "fc1.weight", in: measured).roundCount == 4)
        #expect(try plan(JobFileText(method: "ties")).statistics.isEmpty)
    }
}
