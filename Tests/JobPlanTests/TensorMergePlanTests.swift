import Identifiers
import JobPlan
import LinearAlgebra
import TaskArithmetic
import Testing
import UnitOperations

/// A computation that a plan only names.
private struct PlannedMerge: StreamedComputation, ~Copyable {
    var nextPass: MergePass? { nil }
    init(_ problem: MergeProblem) {}
    mutating func addFactors(_ factors: borrowing TaskFactors, of model: MergedModel) {}
    mutating func add(_ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel) {}
    mutating func endPass() {}
    consuming func finish() throws(TaskArithmeticError) -> MergedBlock { throw .noTasks }
    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        MergeCost(multiplyAdds: 0, numbers: 0, factorPasses: 0, valuePasses: 1)
    }
}

/// Methods that merge whole tensors, or whole matrices, without factors.
@Suite struct TensorMergePlanTests {
    private static let density = MergeParameter(
        "density", .number(.from(0, to: 1)), default: .value(.number(1)), level: .jobAndModel, variesByTensor: true,
        meaning: "kept fraction")

    private func method(_ scope: MergeScope, _ terms: MergeMethod.Terms, _ base: MergeMethod.BaseRole) -> MergeMethod {
        MergeMethod(
            name: "trial", paper: Paper("nobody"), formula: "θ", summary: "Planned only.",
            parameters: [.weight, Self.density, .normalize(default: false), .lambda], terms: terms, base: base,
            scope: scope)
    }

    /// The plan of a job, over layers, a parameter and an embedding.
    private func plan(
        _ scope: MergeScope = .tensors(PlannedMerge.self), _ models: [String] = ["- model: a", "- model: b"],
        rest: [String] = [], densities: [String: Double] = [:], terms: MergeMethod.Terms = .taskVectors,
        base: MergeMethod.BaseRole = .never
    ) throws -> JobPlan {
        var spec = try JobFileText(models: models, rest: rest).spec()
        // The method that the file names does not have this parameter.
        for position in spec.tasks.indices {
            guard let density = densities[spec.tasks[position].name.rawValue] else { continue }
            spec.tasks[position].parameters = ["density": .scalar(density)]
        }
        spec.method = method(scope, terms, base)
        return try JobPlan(spec: spec, inventory: SmallModel().inventory(for: spec))
    }

    private func merge(of tensor: String, in plan: JobPlan) throws -> MergeOperation {
        let unit = try #require(plan.products[tensor, .tensorMerge]?.unit)
        return try #require(plan.units[unit.position].operation as? MergeOperation)
    }

    @Test func `each tensor is a unit, and the checkpoint waits for all`() throws {
        let plan = try plan(rest: ["outputs: [merged]"])
        #expect(
            plan.lines == [
                "0 worker: merge of \"embed.weight\"", "1 worker: merge of \"fc1.bias\"",
                "2 worker: merge of \"fc1.weight\"", "3 worker: merge of \"fc2.weight\"",
                "4 worker: merge of \"norm.weight\"", "5 coordinator: merged checkpoint <- 0 1 2 3 4",
                "6 coordinator: publication of the outputs <- 0 1 2 3 4 5",
            ])
        #expect(plan.blobs(readBy: plan.units[5]) == (0..<5).map { UnitOutput(UnitIndex($0)) })
        #expect(plan.mergedRegions.map(\.region.tensor) == plan.units[0..<5].map(\.subject))
        #expect(plan.products.outputs(for: .blockMerge).isEmpty)
    }

    @Test func `only tensors of two dimensions are matrices`() throws {
        let plan = try plan(.matrices(PlannedMerge.self, others: WeightedSum.self))
        let merged = plan.products.outputs(for: .tensorMerge).map(\.subject)
        #expect(merged == ["embed.weight", "fc1.weight", "fc2.weight"])
        #expect(try merge(of: "embed.weight", in: plan).parameters == .tensor(rows: 5, columns: 4))
    }

    @Test func `a matrix that is excepted is merged element by element`() throws {
        let rest = ["parameters: {as_matrix: [{filter: embed, value: false}, {value: true}]}", "outputs: [merged]"]
        let spec = try JobFileText(method: "iso_c", rest: rest).spec()
        let plan = try JobPlan(spec: spec, inventory: SmallModel().inventory(for: spec))
        #expect(plan.products.outputs(for: .tensorMerge).map(\.subject) == ["fc1.weight", "fc2.weight"])
    }

    /// A layer's inputs are its columns, however its weight is stored.
    @Test func `a matrix that is declared as [d_in, d_out] is read as [d_out, d_in]`() throws {
        let scope = MergeScope.matrices(PlannedMerge.self, others: WeightedSum.self)
        let stored = try merge(of: "fc1.weight", in: try plan(scope)).parameters
        guard case .tensor(let rows, let columns) = stored else {
            Issue.record("no tensor")
            return
        }
        let plan = try plan(scope, rest: ["kfac: {layout: {fc1: in_out}}"])
        let turned = try merge(of: "fc1.weight", in: plan)
        #expect(turned.parameters == .tensor(rows: columns, columns: rows))
        #expect((turned.base + turned.tasks.flatMap(\.parameters)).allSatisfy { $0.layout == .inOut })
        let other = try merge(of: "fc2.weight", in: plan)
        #expect((other.base + other.tasks.flatMap(\.parameters)).allSatisfy { $0.layout == .outIn })
    }

    @Test func `a tensor of another shape is one row`() throws {
        #expect(try merge(of: "norm.weight", in: try plan()).parameters == .tensor(rows: 1, columns: 4))
        #expect(MergedParameters(tensorOfShape: [2, 3, 4]) == .tensor(rows: 1, columns: 24))
        #expect(MergedParameters(tensorOfShape: []) == .tensor(rows: 1, columns: 1))
    }

    /// A weight and its bias are two units, so each has its own settings, which factors would refuse.
    @Test func `a unit has its tensor's settings, and the weights as they were given`() throws {
        let plan = try plan(
            .tensors(PlannedMerge.self),
            [
                "- {model: a, parameters: {weight: [{filter: bias, value: 0}, {value: 3}]}}",
                "- {model: b, parameters: {weight: -2}}", "- model: c",
            ], rest: ["parameters: {normalize: true, lambda: 0.5}", "dtype: bfloat16"], densities: ["c": 0.25])
        let weight = try merge(of: "fc1.weight", in: plan)
        #expect(weight.method == "trial")
        #expect(weight.tasks.map(\.weight) == [3, -2, 1])
        #expect(weight.tasks.map(\.lambda) == [1, 1, 1])
        #expect(weight.tasks.map { $0.arguments[Self.density] } == [.number(1), .number(1), .number(0.25)])
        #expect(weight.divides)
        #expect(weight.scale == 0.5)
        #expect(weight.outputTypes == [.bf16])
        #expect(weight.base.count == 1)
        #expect(try merge(of: "fc1.bias", in: plan).tasks.map(\.weight) == [-2, 1])
    }

    @Test func `a base that counts stands first, and is subtracted only from task vectors`() throws {
        for terms in [MergeMethod.Terms.taskVectors, .models] {
            let plan = try plan(
                .tensors(PlannedMerge.self),
                [
                    "- model: a", "- {model: models/base, parameters: {weight: 4}}",
                    "- {model: b, parameters: {weight: 2}}",
                ],
                terms: terms, base: .whenListed)
            let merge = try merge(of: "fc1.weight", in: plan)
            #expect(merge.tasks.map(\.weight) == [4, 1, 2])
            #expect(merge.base == (terms == .models ? [] : merge.tasks[0].parameters))
        }
    }

    @Test func `a tensor without models of weight, or that is copied, is no unit`() throws {
        let plan = try plan(
            rest: ["parameters: {weight: [{filter: fc1, value: 0}, {value: 1}]}", "ignore: [\"embed.*\"]"])
        #expect(plan.products.outputs(for: .tensorMerge).map(\.subject) == ["fc2.weight", "norm.weight"])
    }
}
