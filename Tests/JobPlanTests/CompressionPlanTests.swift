import Identifiers
import LinearAlgebra
import Testing
import UnitOperations

@testable import JobPlan

/// The compression of matrices for files.
@Suite struct CompressionPlanTests {
    private static let oneLayer = SmallModel(layers: [SmallModel.Layer(name: "fc")], parameters: [])

    @Test func `files wait for compressed matrices, and all else for exact ones`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {name: a, captures: a}"],
                rest: ["kfac: {compression: bf16, regularizer: {targets: all}}", "outputs: [factors, inverses]"]),
            model: Self.oneLayer)
        #expect(
            plan.lines.filter { $0.contains("compression") || $0.contains("file") } == [
                "6 worker: compression of \"fc.A\" of task \"a\" <- 0",
                "7 worker: compression of \"fc.B\" of task \"a\" <- 1",
                "8 coordinator: factor file of task \"a\" <- 6 7",
                "9 coordinator: inverses file of target \"all\" <- 4 5",
            ])
    }

    /// A has 9 rows and a bias, B has 3: ten and three rows of one group each.
    @Test(arguments: [
        ("bf16", 2 * 55 + 2 * 6), ("int8", 55 + 40 + 6 + 12),
        ("{form: block_diagonal, blocks: 2}", 4 * (2 * 15 + 3 + 1)),
        ("{form: low_rank, rank: 2}", 4 * (3 * 10 + 3 * 3)),
    ])
    func `the plan predicts the bytes of the files`(form: String, byteCount: Int) throws {
        let model = SmallModel(layers: [SmallModel.Layer(name: "fc", outputs: 3, inputs: 9)], parameters: [])
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {name: a, captures: a}"], rest: ["kfac: {compression: \(form)}", "outputs: [factors]"]),
            model: model)
        #expect(plan.blocks[0].factors.map(\.shape) == [.full(10), .full(3)])
        #expect(PlanSummary(of: plan).diskBytes == UInt64(byteCount))
    }

    @Test func `a group's strength is part of a regularizer's compression`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {model: models/a, captures: a}", "- {model: models/b, captures: b}"],
                rest: [
                    "kfac: {compression: {form: low_rank, rank: 2, repair: true}, groups: [{layers: fc, strength: 3}]}",
                    "outputs: [regularizer]",
                ]), model: Self.oneLayer)
        let operations = plan.units.compactMap { $0.operation as? CompressOperation }
        // A and B of two targets.
        #expect(operations.map(\.strength) == [1, 3, 1, 3])
        #expect(operations.allSatisfy { $0.form == .lowRank(rank: 2) && $0.repairs })
    }

    @Test func `compression without a file of its kind is refused`() throws {
        let spec = try JobFileText(
            models: ["- {model: models/a, captures: a}", "- {model: models/b, captures: b}"],
            rest: ["kfac: {compression: int8}", "outputs: [merged]"]
        ).spec()
        #expect(
            spec.problems(against: SmallModel().inventory(for: spec)).map(\.description) == [
                "job.yaml:6:21: \"compression\" is a form of factor and regularizer files, which the job does not write. Add "
                    + "\"factors\" or \"regularizer\" to the outputs, or remove \"compression\"."
            ])
    }
}
