import Identifiers
import KroneckerFactors
import LinearAlgebra
import Testing

@testable import JobPlan
@testable import UnitOperations

@Suite struct UnitCostTests {
    private let streaming: UInt64 = 64 << 20

    private func costs(_ method: String, _ rest: [String], model: SmallModel) throws -> [String: UnitCost] {
        let plan = try JobPlan.small(
            JobFileText(
                method: method,
                models: ["- {model: a, captures: a}", "- {model: b, captures: b}"],
                rest: rest
            ),
            model: model
        )
        return Dictionary(plan.units.map { ($0.title, $0.cost) }, uniquingKeysWith: { first, _ in first })
    }

    /// One layer `[3, 4]` with bias: A is 5 × 5 with 15 packed elements, B is 3 × 3 with 6.
    @Test func `costs follow from the shapes`() throws {
        let model = SmallModel(layers: [SmallModel.Layer(name: "fc")], parameters: [])
        let costs = try costs("kfac", ["outputs: [factors, regularizer, inverses, merged, report]"], model: model)

        // 10 rows of 4 F32; scratch 5² and 256 rows of 48 columns in bfloat16, 12 bytes a packed element, the chunk
        // of 10 rows.
        #expect(
            costs["factor \"fc.A\" of task \"a\""]
                == UnitCost(
                    multiplyAdds: 250,
                    inputBytes: 160,
                    outputBytes: 60,
                    memoryBytes: streaming + 4 * 25 + 2 * 256 * 48 + 12 * 15 + 4 * 50
                )
        )
        #expect(
            costs["sums of factor \"fc.A\" over 2 tasks"]
                == UnitCost(multiplyAdds: 0, inputBytes: 120, outputBytes: 120, memoryBytes: streaming + (3 << 20))
        )
        #expect(
            costs["inverse of \"fc.A\" for target \"a\""]
                == UnitCost(
                    multiplyAdds: 250,
                    inputBytes: 60,
                    outputBytes: 60,
                    memoryBytes: streaming + 8 * 25 + 8 * 15
                )
        )
        // Two task vectors of [3, 5]; a product with A takes 3·5·5, with B 3·3·5. The first is kept for the one pair.
        #expect(
            costs["interference with task \"a\" in \"fc\""]
                == UnitCost(
                    multiplyAdds: 2 * 2 * 120 + 15,
                    inputBytes: 60 + 24 + 3 * 60,
                    outputBytes: 0,
                    memoryBytes: streaming + 8 * 25 + 8 * 9 + 84 + (5 + 1) * 15 * 8
                )
        )
        #expect(
            costs["merge of \"fc\""]
                == UnitCost(
                    multiplyAdds: 2 * 4 * 120,
                    inputBytes: 2 * 2 * 84 + 3 * 60,
                    outputBytes: 60,
                    memoryBytes: streaming + (8 * 25 + 8 * 9) + 3 * 84 + 6 * 15 * 8
                )
        )
        // The base holds 3·4 + 3 + 5·4 elements; both checkpoints are read beside it.
        #expect(
            costs["merged checkpoint"]
                == UnitCost(multiplyAdds: 0, inputBytes: 3 * 140, outputBytes: 140, memoryBytes: streaming)
        )
    }

    /// A of 15 packed elements and B of 6, of two tasks, summed for two targets into one product each.
    @Test func `optimal sums read every factor once and write each target's`() throws {
        let model = SmallModel(layers: [SmallModel.Layer(name: "fc")], parameters: [])
        let costs = try costs(
            "task_arithmetic", ["outputs: [regularizer]", "kfac: {regularizer: {form: optimal}}"], model: model)
        #expect(
            costs["optimal sums of \"fc\" over 2 tasks"]
                == UnitCost(
                    multiplyAdds: 2 * 2 * 21, inputBytes: 2 * 84, outputBytes: 2 * 84,
                    memoryBytes: streaming + (2 << 20))
        )
    }

    @Test func `the file of several products is as large as they are`() throws {
        let model = SmallModel(layers: [SmallModel.Layer(name: "fc")], parameters: [])
        let costs = try costs(
            "task_arithmetic",
            ["outputs: [regularizer]", "kfac: {regularizer: {form: optimal, rank: 2, targets: all}}"],
            model: model)
        #expect(costs["regularizer file of target \"all\""]?.outputBytes == 2 * 4 * (25 + 9))
    }

    @Test func `a partial sum is stored in fp64`() throws {
        let model = SmallModel(layers: [SmallModel.Layer(name: "fc")], parameters: [], samples: 100)
        let plan = try JobPlan.small(
            JobFileText(models: ["- {name: a, captures: a}"], rest: ["outputs: [factors]"]),
            model: model,
            limits: PlanLimits(chunkRows: 50, partMultiplyAdds: 1250)
        )
        #expect(plan.units[0].cost.outputBytes == 15 * 8)
        #expect(plan.units[2].title == "sum of the parts of factor \"fc.A\" of task \"a\"")
        #expect(plan.units[2].cost.inputBytes == 2 * 15 * 8)
    }

    @Test func `rows that become one for each sample are multiplied once`() throws {
        let slice = RowSlice(slice: FileSlice(file: 0, offset: 0, byteCount: 12 * 16), rows: 12)
        func operation(_ reduction: PositionReduction, isDiagonal: Bool = false) -> FactorOperation {
            FactorOperation(
                columns: 4, appendsOnes: false, elementType: .f32, rowSlices: [slice], chunkRows: 8,
                reduction: reduction, divisor: 1, isDiagonal: isDiagonal)
        }
        #expect(operation(.none).cost.multiplyAdds == 12 * 16)
        #expect(operation(.sum(positions: 4)).cost.multiplyAdds == 3 * 16)
        #expect(operation(.mean(positions: 3)).cost.multiplyAdds == 4 * 16)
        #expect(operation(.none).kernel == .symmetricProduct(columns: 4, chunks: 2, isBFloat16: false))
        #expect(operation(.none, isDiagonal: true).kernel == .elementSum)
    }

    @Test func `nominal seconds count arithmetic, bytes and a start`() {
        let cost = UnitCost(multiplyAdds: 2e11, inputBytes: 2_000_000_000, outputBytes: 1_000_000_000, memoryBytes: 0)
        #expect(cost.nominalSeconds == 5.0001)
        #expect(UnitCost(multiplyAdds: 0, inputBytes: .max, outputBytes: .max, memoryBytes: 0).nominalSeconds > 3e10)
    }

    @Test func `the largest worker unit is found`() throws {
        let model = SmallModel(layers: [SmallModel.Layer(name: "fc"), SmallModel.Layer(name: "wide", inputs: 400)])
        let plan = try JobPlan.small(
            JobFileText(models: ["- {name: a, captures: a}"], rest: ["outputs: [factors]"]),
            model: model
        )
        #expect(plan.largestWorkerUnit?.title == "factor \"wide.A\" of task \"a\"")
    }

    @Test func `packed triangles and squares are counted in bytes`() {
        #expect(SymmetricShape.full(1).storedBytes == 4)
        #expect(SymmetricShape.full(768).storedBytes == 768 * 769 / 2 * 4)
        #expect(SymmetricShape.full(0).storedBytes == 0)
        #expect(SymmetricShape.full(768).fullBytes == 768 * 768 * 4)
        #expect(SymmetricShape.full(768).doubleBytes == 768 * 768 * 8)
    }

    /// A sparse file of a few bytes on disk may claim such shapes.
    @Test(arguments: [1 << 31, 1 << 33, 1 << 40, Int.max / 8])
    func `costs of absurd dimensions saturate`(dimension: Int) throws {
        let model = SmallModel(
            layers: [SmallModel.Layer(name: "fc", outputs: 1, inputs: 1, hasBias: false)],
            parameters: [("p", 1)],
            samples: 1,
            probes: 1
        )
        let plan = try JobPlan.small(
            JobFileText(
                method: "kfac",
                models: ["- {model: a, captures: a}", "- {model: b, captures: b}"],
                rest: ["outputs: [factors, regularizer, inverses, merged, report]"]
            ),
            model: model
        ) { inventory in
            inventory.base = inventory.base.with("fc.weight", shape: [1, dimension]).with("p", shape: [dimension])
            inventory.files[0].byteCount = .max
            for task: TaskName in ["a", "b"] {
                inventory.checkpoints[task] = inventory.checkpoints[task]?
                    .with("fc.weight", shape: [1, dimension]).with("p", shape: [dimension])
                inventory.captures[task]?.layers["fc"]?.input.columns = dimension
                inventory.captures[task]?.parameters["p"]?.gradient.columns = dimension
            }
        }
        let memory = try #require(plan.largestWorkerUnit).cost.memoryBytes
        #expect(memory > 1 << 62)
    }
}
