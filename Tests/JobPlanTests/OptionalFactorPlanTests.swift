import Identifiers
import Testing
import UnitOperations

@testable import JobPlan

/// Methods of matrices that take captured covariances where a job has them.
@Suite struct OptionalFactorPlanTests {
    private static let model = SmallModel(
        layers: [SmallModel.Layer(name: "fc")], parameters: [], others: [("embed.weight", [5, 4])])

    private func spec(
        _ method: String, _ models: [String] = ["- {model: a, captures: a}", "- {model: b, captures: b}"],
        parameters: String = "{}"
    ) throws -> JobSpec {
        try JobFileText(
            method: method, models: models, rest: ["outputs: [merged]", "parameters: \(parameters)"]
        ).spec()
    }

    private func plan(_ spec: JobSpec) throws -> JobPlan {
        try JobPlan(spec: spec, inventory: Self.model.inventory(for: spec))
    }

    private func problems(_ spec: JobSpec) -> [String] {
        spec.problems(against: Self.model.inventory(for: spec)).map(\.description)
    }

    @Test(arguments: ["actmat", "tact", "wudi", "ace"])
    func `layers with factors of every task are merged by them, and other matrices by estimates`(
        method: String
    ) throws {
        let plan = try plan(try spec(method))
        #expect(plan.products.outputs(for: .blockMerge).map(\.subject) == ["fc"])
        #expect(plan.products.outputs(for: .tensorMerge).map(\.subject) == ["embed.weight"])
        let unit = plan.units[try #require(plan.products["fc", .blockMerge]).unit.position]
        let merge = try #require(unit.operation as? MergeOperation)
        #expect(merge.tasks.map(\.lambda).reduce(0, +) == 1)
        #expect(unit.inputs.count == 4)
        let estimated = try #require(plan.products["embed.weight", .tensorMerge]).unit
        let other = try #require(plan.units[estimated.position].operation as? MergeOperation)
        #expect(other.tasks.map(\.lambda) == [1, 1])
    }

    @Test func `a layer that is no matrix by the job is merged like vectors, also with factors`() throws {
        let plan = try plan(try spec("actmat", parameters: "{as_matrix: [{filter: fc, value: false}]}"))
        #expect(plan.products.outputs(for: .blockMerge).isEmpty)
        #expect(plan.products.outputs(for: .tensorMerge).map(\.subject) == ["embed.weight"])
    }

    @Test(arguments: [
        ("actmat", "{covariance: estimated}", true), ("wudi", "{solver: adam}", true), ("tsv_m", "{}", true),
        ("actmat", "{}", false),
    ])
    func `estimates stay where the job says so, and where a task has no factors`(
        method: String, parameters: String, isCaptured: Bool
    ) throws {
        let models =
            isCaptured ? ["- {model: a, captures: a}", "- {model: b, captures: b}"] : ["- model: a", "- model: b"]
        let plan = try plan(try spec(method, models, parameters: parameters))
        #expect(plan.products.outputs(for: .blockMerge).isEmpty)
        #expect(plan.products.outputs(for: .tensorMerge).map(\.subject) == ["embed.weight", "fc.weight"])
        #expect(!plan.units.contains { $0.operation is FactorOperation })
    }

    @Test func `factors of some tasks are a notice, and asking for those of all is refused`() throws {
        let models = ["- {model: a, captures: a}", "- model: b"]
        let some = try spec("actmat", models)
        #expect(problems(some) == [])
        let notices = some.allNotices(against: Self.model.inventory(for: some)).map(\.description)
        #expect(
            notices.filter { $0.contains("actmat") } == [
                "job.yaml:5:5: \"actmat\" estimates all covariances, because task \"b\" has neither \"captures\" nor "
                    + "\"factors\"."
            ])
        #expect(
            problems(try spec("actmat", models, parameters: "{covariance: captured}")) == [
                "job.yaml:5:5: \"covariance: captured\" needs the factors of every merged task, but task \"b\" has "
                    + "neither \"captures\" nor \"factors\". Give them, or remove \"covariance\"."
            ])
        #expect(
            problems(try spec("wudi", models, parameters: "{covariance: captured, solver: adam}")) == [
                "job.yaml: the merge method \"wudi\" takes the steps of Adam on the loss of its own estimates, not on "
                    + "captured covariances. Remove \"solver\" or \"covariance\"."
            ])
    }
}
