import Identifiers
import Testing
import UnitOperations

@testable import JobPlan

/// The merge `kfac_exact` by joint rows: its settings, and the units of its steps.
@Suite struct JointMergePlanTests {
    private static let small = SmallModel(
        layers: [SmallModel.Layer(name: "fc")], parameters: [(name: "norm.weight", count: 4)], positions: 3)

    private func job(
        _ parameters: String = "iterations: 2", _ form: String = "form: pseudo_rows", models: [String] = ["", ""],
        outputs: String = "merged"
    ) -> JobFileText {
        JobFileText(
            method: "kfac_exact",
            models: zip(["a", "b"], models).map { "- {name: \($0), model: models/\($0), captures: \($0)\($1)}" },
            rest: [
                "kfac: {normalization: expand, regularizer: {\(form)}}", "outputs: [\(outputs)]",
                "parameters: {curvature: joint_rows, \(parameters)}",
            ])
    }

    private func problems(_ text: JobFileText) throws -> [String] {
        let spec = try text.spec()
        var model = SmallModel()
        model.positions = 3
        return spec.problems(against: model.inventory(for: spec)).map(\.description)
    }

    private func merges(_ plan: JobPlan) -> [WorkUnit] { plan.units.filter { $0.stage == .merge && $0.isForWorker } }

    // MARK: - Settings

    @Test func `joint rows need their form, one tolerance, no ridge and a bounded number of steps`() throws {
        #expect(try problems(job()) == [])
        #expect(
            try problems(job("iterations: 2", "form: accumulated")) == [
                "job.yaml: \"curvature: joint_rows\" merges by the joint rows of the form \"pseudo_rows\"; the form is "
                    + "\"accumulated\". Write \"regularizer: {form: pseudo_rows}\" under \"kfac\", or remove \"curvature\"."
            ])
        let tolerances = "tolerance: [{filter: fc1, value: 0.01}, {value: 0.1}]"
        #expect(
            try problems(job("tolerance: 1e-300")) == [
                "job.yaml: \"curvature: joint_rows\" sums in fp64; expected a \"tolerance\" of at least 1e-14, found "
                    + "1e-300. Raise it."
            ])
        #expect(
            try problems(job("iterations: 1001, ridge: 0.5, \(tolerances)")) == [
                "job.yaml: \"curvature: joint_rows\" has no ridge: the floor stands for it. Remove \"ridge\".",
                "job.yaml: \"curvature: joint_rows\" solves all layers together, but \"tolerance\" differs between them. "
                    + "Write one number.",
                "job.yaml: \"curvature: joint_rows\" plans every step; expected at most 1000 \"iterations\", found 1001. "
                    + "Lower them.",
            ])
    }

    @Test func `a weight of 0 in some layers only is refused, and in all of them leaves the model out`() throws {
        let filtered = ", parameters: {weight: [{filter: fc1, value: 0}, {value: 1}]}"
        #expect(
            try problems(job(models: [filtered, ""])) == [
                "job.yaml: \"curvature: joint_rows\" solves all layers together, but the weight of \"a\" is 0 in \"fc1\", and "
                    + "not in the others. Write 0 for all layers, or for none."
            ])
        let text = job(models: [", parameters: {weight: 0}", ""])
        #expect(try problems(text) == [])
        let plan = try JobPlan.small(text, model: Self.small)
        let starts = merges(plan).compactMap { $0.operation as? JointStartOperation }
        #expect(starts.map { $0.vectors.count } == [1, 1] && starts.allSatisfy { $0.curvature.tasks[0].lambda == 1 })
    }

    @Test func `the notice about unused joint rows names the parameter that uses them`() throws {
        func notices(_ text: JobFileText) throws -> [String] {
            let spec = try text.spec()
            var model = SmallModel()
            model.positions = 3
            return spec.allNotices(against: model.inventory(for: spec)).map(\.description)
        }
        #expect(try notices(job()) == [])
        var text = job()
        text.rest.removeLast()
        let end = "\"curvature: joint_rows\" under \"parameters\" takes these."
        #expect(try notices(text).map { $0.hasSuffix(end) } == [true])
    }

    // MARK: - Units

    @Test func `each step has a unit of each block, and one that sums them`() throws {
        let plan = try JobPlan.small(job(), model: Self.small)
        #expect(
            merges(plan).map(\.title) == [
                "closed form of \"fc\"", "start of \"fc\" under joint rows", "closed form of \"norm.weight\"",
                "start of \"norm.weight\" under joint rows", "residual under joint rows",
                "step 0 of \"fc\" under joint rows", "step 0 of \"norm.weight\" under joint rows",
                "direction 1 under joint rows", "step 1 of \"fc\" under joint rows",
                "step 1 of \"norm.weight\" under joint rows", "direction 2 under joint rows",
                "step 2 of \"fc\" under joint rows", "step 2 of \"norm.weight\" under joint rows",
                "direction 3 under joint rows", "merge of \"fc\"", "merge of \"norm.weight\"",
            ])
        let sums = merges(plan).compactMap { $0.operation as? JointStepSumOperation }
        #expect(sums.map(\.number) == [0, 1, 2, 3] && sums.allSatisfy { $0.stepsMax == 2 && $0.partCount == 2 })
        // Ten samples of two probes.
        #expect(sums[0].elementCount == 2 * 2 * 10 * 20 && sums[1].elementCount == 2 * 10 * 20)
        // Inverses of the sum over all tasks, and no regularizer's rows.
        #expect(plan.units.filter { $0.stage == .invert }.map(\.title).allSatisfy { $0.hasSuffix("target \"all\"") })
        #expect(plan.units.filter { $0.stage == .invert }.count == 3)
        #expect(!plan.units.contains { $0.title.hasPrefix("pseudo-rows") && $0.title.contains("target") })
    }

    @Test func `the default is thirty steps`() throws {
        let standard = try JobPlan.small(job("tolerance: 0.001"), model: Self.small)
        #expect(merges(standard).count { $0.operation is JointStepOperation } == 2 * 31)
        let plan = try JobPlan.small(job("iterations: 0"), model: Self.small)
        #expect(merges(plan).count { $0.operation is JointStepOperation } == 2)
        #expect(merges(plan).filter { $0.title.hasPrefix("merge") }.allSatisfy { $0.inputs.count == 1 })
    }

    @Test func `a step's blobs are read by the next step alone`() throws {
        let plan = try JobPlan.small(job("iterations: 3"), model: Self.small)
        var readers: [UnitIndex: [String]] = [:]
        for unit in plan.units {
            for output in plan.blobs(readBy: unit) { readers[output.unit, default: []].append(unit.title) }
        }
        for unit in merges(plan) where unit.operation is JointStepOperation && unit.subject == "fc" {
            let step = try #require(Int(unit.title.split(separator: " ")[1]))
            let next = step < 3 ? "step \(step + 1) of \"fc\" under joint rows" : "merge of \"fc\""
            #expect(Set(readers[unit.index] ?? []) == ["direction \(step + 1) under joint rows", next])
        }
    }

    @Test func `a floor reads the tasks' factors, and without one only the sum of all tasks is planned`() throws {
        let floors = ["complement", "none", "0.5"].map { "form: pseudo_rows, floor: \($0)" }
        let curvatures = try floors.map { floor in
            let plan = try JobPlan.small(job("iterations: 2", floor, outputs: "merged, regularizer"), model: Self.small)
            let sums = plan.units.compactMap { $0.operation as? AccumulateOperation }
            // Two targets leave a task out.
            #expect(sums.allSatisfy { $0.exclusions.count == (floor.hasSuffix("none") ? 1 : 3) })
            return try #require(merges(plan).compactMap { $0.operation as? JointStepOperation }.first).curvature
        }
        #expect(curvatures.map(\.floor) == [.complement, .none, .factors(0.5)])
        #expect(curvatures.map(\.blobsPerTask) == [4, 2, 4])
    }

    /// 32 and 128 rows of eight tasks in ViT-B's widest layer.
    @Test func `a step's unit needs memory for its vectors and one task`() {
        let curvature = JointCurvature(
            block: .linear(outputs: 3072, inputs: 768, hasBias: true), positions: 197,
            tasks: (0..<8).map { _ in .init(inputRank: 32, gradientRank: 128, lambda: 0.125) }, floor: .complement)
        let operation = JointStepOperation(curvature: curvature, isFirst: false)
        let matrix: UInt64 = 8 * 3072 * 769
        #expect(operation.cost.outputBytes == 6 * matrix + 8 * 32 * 128 * 8)
        #expect(operation.cost.memoryBytes > 9 * matrix && operation.cost.memoryBytes < 1 << 30)
    }
}
