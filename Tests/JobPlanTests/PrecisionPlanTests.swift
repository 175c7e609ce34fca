import Identifiers
import LinearAlgebra
import TaskArithmetic
import Testing
import UnitOperations

@testable import JobPlan

/// The key `kfac.precision`.
@Suite struct PrecisionPlanTests {
    private static let oneLayer = SmallModel(layers: [SmallModel.Layer(name: "fc")], parameters: [])
    private static let models = ["- {model: models/a, captures: a}", "- {model: models/b, captures: b}"]

    private func text(
        _ curvature: String, method: String = "disentangle", models: [String] = Self.models,
        outputs: String = "[merged]"
    ) -> JobFileText {
        JobFileText(
            method: method, models: models, rest: ["kfac: {\(curvature)}", "outputs: \(outputs)"])
    }

    private func plan(
        _ curvature: String, method: String = "disentangle", outputs: String = "[merged]", model: SmallModel = oneLayer,
        limits: PlanLimits = PlanLimits()
    ) throws -> JobPlan {
        let spec = try text(curvature, method: method, outputs: outputs).spec()
        return try JobPlan(spec: spec, inventory: model.inventory(for: spec), limits: limits)
    }

    private func notices(
        _ curvature: String, method: String = "disentangle", models: [String] = Self.models,
        _ change: (inout JobInventory) -> Void = { _ in }
    ) throws -> [String] {
        let spec = try text(curvature, method: method, models: models).spec()
        var inventory = Self.oneLayer.inventory(for: spec)
        change(&inventory)
        return spec.allNotices(against: inventory).map(\.description).filter { $0.contains("float") }
    }

    // MARK: - Units

    @Test(arguments: ["kfac", "kfac_exact", "regmean", "fisher", "disentangle"])
    func `merges read the F64 form, and all else reads F32`(method: String) throws {
        let plan = try plan(
            "precision: float64, interference: true", method: method, outputs: "[factors, regularizer, merged, report]")
        let merge = try #require(plan.units.first { $0.operation is MergeOperation && $0.subject == "fc" })
        #expect(merge.inputs.map(\.unit.position) == [0, 1, 2, 3])
        #expect(merge.inputs.allSatisfy { $0.position == 1 })
        #expect((merge.operation as? MergeOperation)?.readsDouble == true)
        let readers = plan.units.filter { !($0.operation is MergeOperation) }
        let read = readers.flatMap { plan.blobs(readBy: $0) }.filter { $0.unit.position < 4 }
        #expect(!read.isEmpty && read.allSatisfy { $0.position == 0 })
    }

    @Test(arguments: ["", "precision: float32", "damping: {value: 1e-4}"])
    func `without the option no operation has it`(curvature: String) throws {
        let plan = try plan(curvature, outputs: "[factors, regularizer, merged, report]")
        let operations = plan.units.compactMap(\.operation)
        #expect(operations.allSatisfy { $0.doubleBlobCount == 0 })
        #expect(operations.compactMap { $0 as? FactorOperation }.allSatisfy { !$0.givesDouble })
        #expect(operations.compactMap { $0 as? MergeOperation }.allSatisfy { !$0.readsDouble })
    }

    @Test func `the default has the keys of before, and fp64 has its own`() throws {
        func keys(_ curvature: String) throws -> [UnitKey] {
            let plan = try plan(curvature)
            return plan.units.compactMap { $0.stage == .factor ? plan.key(of: $0) { _ in nil } : nil }
        }
        let keys64 = try keys("precision: float64")
        #expect(try keys("").count == 4)
        #expect(try keys("precision: float32") == keys(""))
        #expect(Set(keys64).isDisjoint(with: try keys("")))
    }

    @Test func `the parts of a factor are multiplied in fp64, and their sum has both forms`() throws {
        let plan = try plan("precision: float64", limits: PlanLimits(chunkRows: 1, partMultiplyAdds: 1))
        let parts = plan.units.compactMap { $0.operation as? FactorOperation }
        #expect(!parts.isEmpty && parts.allSatisfy { $0.givesDouble && $0.divisor == nil && $0.outputBlobCount == 1 })
        let sums = plan.units.compactMap { $0.operation as? CombineOperation }
        #expect(!sums.isEmpty && sums.allSatisfy { $0.givesDouble && $0.outputBlobCount == 2 })
    }

    @Test func `a balanced B is made of the F64 form`() throws {
        let plan = try plan("precision: float64, regularizer: {balance: trace}", method: "kfac")
        let balances = plan.units.filter { $0.operation is BalanceOperation }
        #expect(!balances.isEmpty)
        for unit in balances {
            #expect(unit.inputs.map(\.position) == [1])
            #expect((unit.operation as? BalanceOperation)?.givesDouble == true)
        }
    }

    @Test func `a task that is not merged has factors in F32 alone`() throws {
        let spec = try text("precision: float64", models: Self.models + ["- {name: c, captures: c}"]).spec()
        let plan = try JobPlan(spec: spec, inventory: Self.oneLayer.inventory(for: spec))
        let counts = plan.units.filter { $0.stage == .factor }.map(\.blobCount)
        #expect(counts == [2, 2, 2, 2, 1, 1] || counts == [2, 2, 2, 2])
    }

    @Test func `the estimate counts the work, the memory and the blobs`() throws {
        let model = SmallModel(layers: [SmallModel.Layer(name: "fc", outputs: 3000, inputs: 2000)], parameters: [])
        let single = try plan("", model: model)
        let double = try plan("precision: float64", model: model)
        #expect(single.units.count == double.units.count)
        for (single, double) in zip(single.units, double.units) where single.stage == .factor {
            #expect(double.cost.multiplyAdds == 2 * single.cost.multiplyAdds)
            #expect(double.cost.outputBytes == 3 * single.cost.outputBytes)
            #expect(double.cost.memoryBytes > single.cost.memoryBytes)
            #expect(double.byteCount(ofBlob: 0) == single.cost.outputBytes)
            #expect(double.byteCount(ofBlob: 1) == 2 * single.cost.outputBytes)
        }
        for (single, double) in zip(single.units, double.units) where single.operation is MergeOperation {
            guard single.subject == "fc" else { continue }
            #expect(double.cost.inputBytes > single.cost.inputBytes)
            #expect(double.cost.memoryBytes > single.cost.memoryBytes)
        }
    }

    // MARK: - Refusals and remarks

    @Test func `a word that is not known is refused`() {
        #expect(
            problems(in: text("precision: f64").yaml) == [
                "job.yaml:6:19: \"precision\" must be one of float32, float64, not \"f64\"."
            ])
    }

    @Test func `fp64 for a merge that reads no factors is refused`() throws {
        let spec = try text("precision: float64", method: "task_arithmetic").spec()
        #expect(
            spec.problems(against: Self.oneLayer.inventory(for: spec)).map(\.description) == [
                "job.yaml:6:19: \"precision: float64\" is for merges that read factors, and this one reads none: files, "
                    + "regularizers, inverses and the report have factors as float32. Remove \"precision\", or merge by a "
                    + "method that reads factors, such as \"disentangle\"."
            ])
    }

    @Test func `fp64 without a merge has no effect, and a notice says so`() throws {
        let plan = try plan("precision: float64", outputs: "[factors, regularizer]")
        #expect(plan.units.allSatisfy { $0.operation?.doubleBlobCount ?? 0 == 0 })
        #expect(
            plan.notices.map(\.description) == [
                "job.yaml:6:19: \"precision: float64\" has no effect without a merge: files, regularizers, inverses and the "
                    + "report have factors as float32."
            ])
    }

    @Test func `disentangle with little damping names the option`() throws {
        #expect(
            try notices("damping: {value: 1e-4}") == [
                "job.yaml: under \"disentangle\" with a relative damping of 0.0001, below 0.001, the rounding of factors to "
                    + "float32 shows in the first four digits of the result, or in more. Write \"precision: float64\" under "
                    + "\"kfac\", or raise the damping."
            ])
        #expect(try notices("damping: {value: 1e-3}") == [])
        #expect(try notices("damping: {value: 1e-4}", method: "kfac") == [])
        #expect(try notices("damping: {rule: absolute, value: 1e-4}") == [])
        #expect(try notices("damping: {value: 1e-4}, precision: float64") == [])
    }

    @Test func `stored factors that were rounded are named`() throws {
        let models = ["- {model: models/a, factors: a}", "- {model: models/b, factors: b}"]
        func store(_ types: [ElementType]) -> (inout JobInventory) -> Void {
            { inventory in
                for (task, type) in zip(["a", "b"] as [TaskName], types) {
                    for name in inventory.factorSets[task]?.factors.keys ?? [:].keys {
                        inventory.factorSets[task]?.factors[name]?.elementType = type
                    }
                }
            }
        }
        #expect(
            try notices("precision: float64", models: models, store([.f64, .f32])) == [
                "job.yaml:6:19: \"precision: float64\" brings no digits back that stored factors lack: those of \"b\" are "
                    + "not all F64. Give captures or factors of F64."
            ])
        #expect(try notices("precision: float64", models: models, store([.f64, .f64])) == [])
        let little = try notices("damping: {value: 1e-4}", models: models, store([.f32, .f32]))
        #expect(little.count == 1)
        #expect(
            little.first?.hasSuffix(
                "Raise the damping, or give captures or factors of F64 with \"precision: float64\" under \"kfac\".")
                == true
        )
    }
}
