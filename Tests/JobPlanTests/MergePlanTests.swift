import Identifiers
import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import Testing
import UnitOperations

@testable import JobPlan

/// The job's values in a merge: shares, weights, and the rule for tensors without factors.
@Suite struct MergePlanTests {
    private static let model = SmallModel(layers: [SmallModel.Layer(name: "fc")], parameters: [])

    private func merge(_ rest: [String], _ models: [String]) throws -> MergeOperation {
        let plan = try JobPlan.small(
            JobFileText(method: "kfac", models: models, rest: rest), model: Self.model)
        let unit = try #require(plan.products["fc", .blockMerge]?.unit)
        return try #require(plan.units[unit.position].operation as? MergeOperation)
    }

    /// Σ λ_t w_t Δ_t / Σ λ_t w_t: the shares are 0.25 and 0.75, so the weights 2 and 1 sum to 1.25.
    @Test func `normalize divides the kfac merge by the sum of its weights, as the tensors beside it`() throws {
        let models = [
            "- {model: a, captures: a, parameters: {weight: 2}}", "- {model: b, captures: b, curvature_weight: 30}",
        ]
        let merge = try merge(["parameters: {normalize: true}"], models)
        #expect(merge.tasks.map(\.weight) == [1.6, 0.8])
        #expect(merge.tasks.map(\.lambda) == [0.25, 0.75])
        #expect(merge.tasks.reduce(0) { $0 + $1.weight * $1.lambda } == 1)
    }

    @Test(arguments: [
        "parameters: {weight: [{filter: bias, value: 0}, {value: 1}]}",
        "parameters: {lambda: [{filter: bias, value: 0.5}, {value: 1}]}",
        "parameters: {normalize: [{filter: bias, value: true}, {value: false}]}",
    ])
    func `a layer's weight and bias cannot have different parameters where factors merge them`(rest: String) throws {
        for (method, layers, isRefused) in [
            ("kfac", "", true), ("kfac", "kfac: {layers: [fc2]}", false), ("task_arithmetic", "", false),
        ] {
            let spec = try JobFileText(
                method: method, models: ["- {model: a, captures: a}", "- {model: b, captures: b}"],
                rest: [rest] + (layers.isEmpty ? [] : [layers])
            ).spec()
            let model = SmallModel(layers: [.init(name: "fc"), .init(name: "fc2", hasBias: false)], parameters: [])
            let found = spec.problems(against: model.inventory(for: spec)).map(\.description)
            #expect(
                found
                    == (isRefused
                        ? [
                            "job.yaml: the tensors \"fc.weight\", \"fc.bias\" are given different parameters, but factors merge "
                                + "them as one layer. Give them the same, or leave the layer out with \"layers\" to merge "
                                + "them one by one."
                        ] : []))
        }
    }

    @Test(arguments: [
        ("kfac", "", ElementwiseRule.weightedMean), ("weighted_average", "", .weightedMean),
        ("linear", "", .weightedMean), ("linear", "parameters: {normalize: false}", .weightedSum),
        ("task_arithmetic", "", .taskArithmetic), ("task_arithmetic", "parameters: {normalize: true}", .weightedMean),
    ])
    func `tensors without factors follow the method's kind`(
        method: String, rest: String, rule: ElementwiseRule
    ) throws {
        let plan = try JobPlan.small(
            JobFileText(
                method: method, models: ["- {model: a, captures: a}", "- {model: b, captures: b}"],
                rest: rest.isEmpty ? [] : [rest]))
        let settings = MergeSettings(spec: plan.spec, base: plan.inventory.base)
        #expect(settings.elementwiseRule(tensor: "embed.weight") == rule)
        #expect(
            ElementwiseRule.allCases.map(\.reportKey) == [
                "merged_by_task_arithmetic", "merged_by_weighted_mean", "merged_by_weighted_sum", "merged_by_method",
            ])
    }

    @Test func `shares are the curvature weights of merged tasks, and 1 where no factors are needed`() throws {
        for (method, expected) in [("kfac", [0.25, 0.75]), ("task_arithmetic", [1, 1])] {
            let plan = try JobPlan.small(
                JobFileText(
                    method: method,
                    models: [
                        "- {model: a, captures: a}", "- {model: b, captures: b, curvature_weight: 30}",
                        "- {name: c, captures: b}",
                    ]),
                model: Self.model)
            let shares = TaskShares(spec: plan.spec, inventory: plan.inventory)
            #expect(["a", "b"].map { shares.share(of: $0, among: ["a", "b"]) } == expected)
        }
    }
}
