import Identifiers
import KroneckerFactors
import LinearAlgebra
import Testing
import UnitOperations

@testable import JobPlan

/// Embeddings, heads and other layers that use one weight, and the diagonals of their factors.
struct SharedWeightTests {
    /// GPT-2's embedding and head, beside a square layer that nobody declares.
    private var model = StoredModel(
        tensors: [("wte.weight", [7, 3]), ("fc.weight", [3, 3])], layers: [("fc", 3, 3), ("lm_head", 3, 7)],
        metadata: ["lm_head.weight": "wte.weight"])

    /// The inventory with an embedding whose input rows are indices.
    private func inventory(_ change: (inout CaptureInventory) -> Void = { _ in }) -> JobInventory {
        var inventory = model.inventory
        let indices = RowSlice(slice: FileSlice(file: 0, offset: 0, byteCount: 32), rows: 8)
        inventory.captures["a"]?.layers["wte"] = .init(
            input: CapturedRows(tensor: "wte.input", columns: 1, rowType: .indices(.i32), slices: [indices]),
            outputGradient: .of("wte.output_grad", rows: 8, columns: 3, file: 0), samples: 8, positions: 1)
        if var captures = inventory.captures["a"] {
            change(&captures)
            inventory.captures["a"] = captures
        }
        return inventory
    }

    private func plan(_ change: (inout CaptureInventory) -> Void = { _ in }) throws -> JobPlan {
        try JobPlan(spec: try model.spec(), inventory: inventory(change))
    }

    private func problems(_ change: (inout CaptureInventory) -> Void = { _ in }) throws -> [String] {
        try model.spec().problems(against: inventory(change)).map(\.description)
    }

    @Test func `an embedding and its head are two uses of one block, which has the embedding's name`() throws {
        let plan = try plan()
        #expect(plan.blocks.map(\.name) == ["fc", "wte"])
        let block = plan.blocks[1]
        #expect(block.kind == .linear(outputs: 3, inputs: 7, hasBias: false, diagonals: .input))
        #expect(block.factors.map(\.shape) == [.diagonal(7), .full(3)])
        #expect(
            block.uses == [LayerUse(name: "wte", isTransposed: false), LayerUse(name: "lm_head", isTransposed: true)])
        #expect(block.layers.map { $0.factors.map(\.shape) } == [[.diagonal(7), .full(3)], [.full(3), .diagonal(7)]])
        #expect(plan.layouts == ["wte": .inOut])
        let factors = plan.units.compactMap { $0.operation as? FactorOperation }
        #expect(factors.map(\.isDiagonal) == [false, false, false, false, true])
        #expect(plan.units.contains { $0.operation is IndexFactorOperation })
        let sums = plan.units.compactMap { $0.operation as? SumUsesOperation }
        #expect(sums == [SumUsesOperation(inputShape: .diagonal(7), gradientShape: .full(3), useCount: 2)])
    }

    @Test func `an embedding says nothing about the layout of square layers`() throws {
        #expect(try problems() == [])
    }

    @Test func `a head alone is a layer of its own name, and its diagonal is asked for`() throws {
        let leavesOut: (inout CaptureInventory) -> Void = {
            $0.layers["wte"] = nil
            $0.diagonals = [FactorName(owner: "lm_head", side: .gradient)]
        }
        let block = try #require(try plan(leavesOut).blocks.last)
        #expect(block.name == "lm_head" && block.uses.isEmpty)
        #expect(block.factors.map(\.shape) == [.full(3), .diagonal(7)])
    }

    @Test func `the job may ask for diagonals by patterns, and a pattern without a factor is named`() throws {
        var asked = self
        asked.model.curvature = ["diagonal: [\"fc.B\"]"]
        #expect(try asked.plan().blocks[0].factors.map(\.shape) == [.full(3), .diagonal(3)])
        asked.model.curvature = ["diagonal: [\"fc.C\"]"]
        #expect(
            try asked.problems() == [
                "job.yaml:6:14: the pattern \"fc.C\" of \"diagonal\" matches none of the 6 factors A and B of layers, such "
                    + "as \"fc.A\". Did you mean \"fc.A\"?"
            ])
    }

    @Test func `a layout that contradicts indices is refused`() throws {
        let found = try problems { $0.layouts["wte"] = Located(.outIn, at: "c.safetensors") }
        #expect(found.count == 1)
        #expect(found.first?.contains("holds indices, which pick rows of the weight, and that is in_out") ?? false)
    }

    @Test func `uses with a bias cannot be summed`() throws {
        var biased = self
        biased.model.tensors.append(("lm_head.bias", [7]))
        let found = try biased.problems()
        #expect(found.count == 1)
        #expect(
            found.first?.contains(
                "use one weight, \"wte.weight\", and \"lm_head\" has a bias, so their factors have different forms")
                ?? false, "\(found)")
    }

    @Test func `a task without one of the uses is told which`() throws {
        var inventory = inventory()
        inventory.captures["b"] = inventory.captures["a"]
        inventory.captures["b"]?.layers["lm_head"] = nil
        let spec = try JobFileText(
            method: "kfac", base: "b", models: ["- {name: a, model: a, captures: c}", "- {name: b, captures: d}"]
        ).spec()
        #expect(
            spec.problems(against: inventory).map(\.description) == [
                "captures of task \"b\": the layer \"lm_head\", which other tasks have, is missing; every task of a sum "
                    + "needs it. Capture it, or leave it out with \"layers\"."
            ])
    }

    @Test func `finished factors that are the sum over other uses are refused`() throws {
        var inventory = inventory()
        func factor(_ shape: SymmetricShape) -> FactorSetInventory.Factor {
            FactorSetInventory.Factor(
                shape: shape, elementType: .f32, isPacked: false, slice: FileSlice(file: 0, offset: 0, byteCount: 28))
        }
        var set = FactorSetInventory(
            normalization: .tak, samples: 8,
            factors: [
                FactorName(owner: "wte", side: .input): factor(.diagonal(7)),
                FactorName(owner: "wte", side: .gradient): factor(.full(3)),
            ])
        set.uses = ["wte": ["lm_head", "wte"]]
        inventory.factorSets["b"] = set
        func problems(_ layers: String) throws -> [String] {
            let spec = try JobFileText(
                method: "kfac", base: "b", models: ["- {name: a, model: a, captures: c}", "- {name: b, factors: d}"],
                rest: ["kfac:", "  layers: \(layers)"]
            ).spec()
            return spec.problems(against: inventory).map(\.description)
        }
        #expect(try problems("[wte, lm_head]") == [])
        #expect(
            try problems("[wte]") == [
                "factors of task \"b\" (d): the factors of \"wte\" are the sum over its uses \"lm_head\", \"wte\", but "
                    + "the job sums \"wte\". Take the same layers in all tasks, or make the factors again."
            ])
    }

    @Test func `a whole factor beside diagonals of other tasks is refused with what to do`() throws {
        var inventory = inventory()
        func factor(_ shape: SymmetricShape) -> FactorSetInventory.Factor {
            FactorSetInventory.Factor(
                shape: shape, elementType: .f32, isPacked: false,
                slice: FileSlice(file: 0, offset: 0, byteCount: 4 * UInt64(shape.dimension)))
        }
        var factors: [FactorName: FactorSetInventory.Factor] = [:]
        for (owner, input, gradient) in [
            ("fc", SymmetricShape.full(3), SymmetricShape.full(3)), ("wte", .diagonal(7), .full(3)),
            ("lm_head", .full(3), .full(7)),
        ] {
            factors[FactorName(owner: owner, side: .input)] = factor(input)
            factors[FactorName(owner: owner, side: .gradient)] = factor(gradient)
        }
        inventory.factorSets["b"] = FactorSetInventory(normalization: .tak, samples: 8, factors: factors)
        let spec = try JobFileText(
            method: "kfac", base: "b", models: ["- {name: a, model: a, captures: c}", "- {name: b, factors: d}"]
        ).spec()
        #expect(
            spec.problems(against: inventory).map(\.description) == [
                "factors of task \"b\" (d): the factor \"lm_head.B\" is [7, 7]; the base's layer needs a diagonal [7]. The "
                    + "job, another task or another use of the weight has only the diagonal: store the diagonal of this "
                    + "one too, and name it under \"diagonal\" in the metadata."
            ])
    }
}
