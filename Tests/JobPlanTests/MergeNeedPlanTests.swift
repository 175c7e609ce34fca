import Identifiers
import LinearAlgebra
import TaskArithmetic
import Testing
import UnitOperations

@testable import JobPlan

/// A computation that a plan only names.
private struct PlannedBlockMerge: StreamedComputation, ModelStatistics, ~Copyable {
    static var rounds: Int { 2 }
    var nextPass: MergePass? { nil }
    init(_ problem: MergeProblem) {}
    mutating func addFactors(_ factors: borrowing TaskFactors, of model: MergedModel) {}
    mutating func add(_ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel) {}
    mutating func endPass() {}
    consuming func finish() throws(TaskArithmeticError) -> MergedBlock { throw .noTasks }
    consuming func finish() throws(TaskArithmeticError) -> [Double] { throw .noTasks }
    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        MergeCost(multiplyAdds: 7, numbers: 0, factorPasses: 1, valuePasses: 1, inversePasses: 1)
    }
}

/// Methods that need inverses, or numbers of the whole model, before they merge.
@Suite struct MergeNeedPlanTests {
    private static let model = SmallModel(
        layers: [SmallModel.Layer(name: "fc")], parameters: [], others: [("embed.weight", [5, 4])])

    private func spec(
        _ inverses: MergeInverses, measures: Bool = false, tasks: [String] = ["a", "b"], rest: [String] = []
    ) throws -> JobSpec {
        var spec = try JobFileText(
            method: "kfac", models: tasks.map { "- {model: \($0), captures: \($0)}" },
            rest: rest.contains { $0.hasPrefix("outputs") } ? rest : rest + ["outputs: [merged]"]
        ).spec()
        spec.method = MergeMethod(
            name: "trial", paper: Paper("nobody"), formula: "θ", summary: "Planned only.", parameters: [.weight],
            scope: .blocks(PlannedBlockMerge.self, inverses: inverses, others: WeightedSum.self),
            statistics: measures ? PlannedBlockMerge.self : nil)
        return spec
    }

    private func plan(_ spec: JobSpec, limits: PlanLimits = PlanLimits()) throws -> JobPlan {
        try JobPlan(spec: spec, inventory: Self.model.inventory(for: spec), limits: limits)
    }

    @Test func `inverses that only the merge reads are planned before it, and no file of them`() throws {
        let plan = try plan(try spec(.leaveOneOut))
        #expect(
            plan.lines.dropFirst(4) == [
                "4 worker: sums of factor \"fc.A\" over 2 tasks <- 0 2",
                "5 worker: sums of factor \"fc.B\" over 2 tasks <- 1 3",
                "6 worker: inverse of \"fc.A\" for target \"a\" <- 4",
                "7 worker: inverse of \"fc.B\" for target \"a\" <- 5",
                "8 worker: inverse of \"fc.A\" for target \"b\" <- 4",
                "9 worker: inverse of \"fc.B\" for target \"b\" <- 5",
                "10 worker: merge of \"fc\" <- 0 1 2 3 6 7 8 9", "11 coordinator: merged checkpoint <- 10",
                "12 coordinator: publication of the outputs <-" + (0..<12).map { " \($0)" }.joined(),
            ])
        let merge = try #require(plan.units[10].operation as? MergeOperation)
        #expect(merge.inverseCount == 2)
        #expect(merge.inputBlobCount == plan.units[10].inputs.count)
        #expect(plan.units[10].cost.multiplyAdds == 7)
        #expect(plan.targets.isEmpty)
    }

    @Test func `inverses of the job's outputs are not made again, and their blobs keep their places`() throws {
        let plan = try plan(try spec(.all, rest: ["outputs: [inverses, merged]"]))
        #expect(plan.targets == [.without("a"), .without("b")])
        for target in [TargetName.all, .without("a"), .without("b")] {
            #expect(plan.products["fc", .inverse(.input, of: target)] != nil)
        }
        let sums = try #require(plan.products["fc", .accumulation(.input)]).unit
        #expect(plan.products["fc", .regularizer(.input, term: 0, of: .without("b"))] == UnitOutput(sums, 1))
        #expect(plan.products["fc", .regularizer(.input, term: 0, of: .all)] == UnitOutput(sums, 2))
        let unit = plan.units[try #require(plan.products["fc", .blockMerge]).unit.position]
        #expect(
            unit.inputs.suffix(2).map(\.unit) == [
                plan.products["fc", .inverse(.input, of: .all)]?.unit,
                plan.products["fc", .inverse(.gradient, of: .all)]?.unit,
            ])
        #expect(plan.lines.count { $0.contains("inverses file") } == 2)
    }

    @Test func `a regularizer without an inverse, or without a second task, is refused`() throws {
        func problems(_ spec: JobSpec) -> [String] {
            spec.problems(against: Self.model.inventory(for: spec)).map(\.description)
        }
        #expect(
            problems(try spec(.all, rest: ["kfac: {regularizer: {form: per_task}}"])) == [
                "job.yaml: the merge method \"trial\" needs an accumulated regularizer; the form is \"per_task\". Use "
                    + "another method or choose the form \"accumulated\"."
            ])
        #expect(
            problems(try spec(.leaveOneOut, tasks: ["a"])) == [
                "job.yaml: leaving one task out needs at least two tasks with curvature; there is 1. Add tasks, or use "
                    + "another merge method."
            ])
        #expect(problems(try spec(.all, tasks: ["a"])) == [])
    }

    @Test func `each round measures blocks with their factors and other tensors, in a tree`() throws {
        let plan = try plan(try spec(.none, measures: true), limits: PlanLimits(combinedStatistics: 2))
        #expect(
            plan.lines.dropFirst(4) == [
                "4 worker: statistics of \"fc\", round 1 <- 0 1 2 3",
                "5 worker: statistics of \"embed.weight\", round 1",
                "6 worker: statistics of the model, round 1 <- 4 5",
                "7 worker: statistics of \"fc\", round 2 <- 6 0 1 2 3",
                "8 worker: statistics of \"embed.weight\", round 2 <- 6",
                "9 worker: statistics of the model, round 2 <- 7 8", "10 worker: merge of \"fc\" <- 6 9 0 1 2 3",
                "11 coordinator: merged checkpoint <- 6 9 10",
                "12 coordinator: publication of the outputs <-" + (0..<12).map { " \($0)" }.joined(),
            ])
        #expect(
            plan.statistics == [UnitMeasurement(UnitIndex(6), .statistics), UnitMeasurement(UnitIndex(9), .statistics)])
        #expect(plan.units[7].blobCount == 0)
    }

    @Test func `a model of weight 0 keeps the places of the others`() throws {
        var spec = try spec(.none, tasks: ["a", "b", "c"])
        spec.tasks[1].parameters = ["weight": .scalar(0)]
        let merge = try #require(
            try plan(spec).units.lazy.compactMap { $0.operation as? MergeOperation }.first)
        #expect(merge.tasks.map(\.place) == [1, 3])
    }
}
