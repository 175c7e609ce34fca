import Identifiers
import Testing
import UnitOperations

@testable import JobPlan

/// The units of penalties under the form `pseudo_rows`.
@Suite struct JointPenaltyPlanTests {
    private static let small = SmallModel(
        layers: [SmallModel.Layer(name: "fc")], parameters: [(name: "norm.weight", count: 4)], positions: 3)

    private func plan(_ regularizer: String = "", _ others: String = "") throws -> JobPlan {
        let text = JobFileText(
            models: ["a", "b"].map { "- {name: \($0), model: models/\($0), captures: \($0)}" },
            rest: [
                "kfac: {normalization: expand, \(others)regularizer: {form: pseudo_rows\(regularizer)}}",
                "outputs: [regularizer, report]",
            ])
        return try JobPlan.small(text, model: Self.small)
    }

    private func titles(_ plan: JobPlan) -> [String] {
        plan.units.filter { $0.stage == .penalty }.map(\.title).filter {
            !$0.hasPrefix("interference") && !$0.hasPrefix("norms")
        }
    }

    @Test func `each block has a part, and one unit of each task sums them`() throws {
        let plan = try plan()
        #expect(
            titles(plan) == [
                "penalty of task \"a\" in \"fc\"", "drift of task \"a\" in \"fc\"", "penalty of task \"b\" in \"fc\"",
                "drift of task \"b\" in \"fc\"", "penalty of task \"a\" in \"norm.weight\"",
                "drift of task \"a\" in \"norm.weight\"", "penalty of task \"b\" in \"norm.weight\"",
                "drift of task \"b\" in \"norm.weight\"", "penalty of task \"a\" under joint rows",
                "penalty of task \"b\" under joint rows",
            ])
        let sum = try #require(plan.units.first { $0.title == "penalty of task \"a\" under joint rows" })
        #expect(sum.group == nil)
        #expect(
            sum.inputs.map { plan.units[$0.unit.position].title } == [
                "drift of task \"a\" in \"fc\"", "drift of task \"a\" in \"norm.weight\"",
            ])
        let drifts = sum.inputs.compactMap { plan.units[$0.unit.position].operation as? JointDriftOperation }
        #expect(drifts.map(\.positions) == [3, 1])
        // Ten samples of two probes.
        #expect(drifts.allSatisfy { $0.inputRank == 10 && $0.gradientRank == 20 && $0.measuresInside })
        #expect(sum.cost.inputBytes == 2 * 2 * 10 * 20 * 8)
    }

    @Test func `the penalty of factors is that of the floor`() throws {
        let none = try plan(", floor: none")
        #expect(titles(none).count == 6)
        #expect(titles(none).allSatisfy { $0.hasPrefix("drift") || $0.hasSuffix("under joint rows") })
        let share = try plan(", floor: 0.5")
        #expect(titles(share).count == 10)
        for plan in [none, share] {
            let drifts = plan.units.compactMap { $0.operation as? JointDriftOperation }
            #expect(drifts.count == 4 && drifts.allSatisfy { !$0.measuresInside })
        }
    }

    @Test func `a job without a task's own target, or without interference, has no penalties`() throws {
        #expect(titles(try plan(", targets: all")) == [])
        #expect(titles(try plan("", "interference: false, ")) == [])
        #expect(titles(try plan(", targets: [b]")).filter { $0.contains("task \"a\"") } == [])
    }

    /// 32 and 128 rows of ViT-B's widest layer.
    @Test func `a unit's memory holds the images, the triangles and a chunk of rows`() {
        let operation = JointDriftOperation(
            block: .linear(outputs: 3072, inputs: 768, hasBias: true), base: [], checkpoint: [], isUnweighted: false,
            inputRank: 32, gradientRank: 128, positions: 197, measuresInside: true)
        #expect(operation.inputChunkRows == 55 && operation.gradientChunkRows == 13)
        let (images, triangles, chunk) = (32 * 197 * 3072 * 8, 2 * 3072 * 3072 * 8, 13 * 197 * 3072 * 12)
        #expect(operation.cost.memoryBytes > UInt64(images + triangles + chunk))
        #expect(operation.cost.memoryBytes < 700 << 20)
        #expect(operation.cost.outputBytes == 32 * 128 * 8)
        let (rows, vectors): (UInt64, UInt64) = (4 * 197 * (32 * 769 + 128 * 3072), 8 * 3072 * 769)
        #expect(operation.cost.inputBytes == rows + vectors)
    }
}
