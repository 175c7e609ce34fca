import Identifiers
import LinearAlgebra
import Testing
import UnitOperations

@testable import JobPlan

/// Plans of models with real vocabularies, of which no step takes memory or disk that grows with their square.
struct VocabularyPlanTests {
    private static let (width, rows, samples) = (16, 64, 32)

    private func tensor(_ name: String, _ shape: [Int], _ type: ElementType, file: Int) -> TensorInventory {
        let bytes = shape.reduce(type.byteCount, *)
        return TensorInventory(
            name: name, elementType: type.rawValue, shape: shape,
            slice: FileSlice(file: file, offset: 0, byteCount: UInt64(bytes)))
    }

    private func captured(_ name: String, rows: Int, columns: Int, _ type: ElementType) -> CapturedRows {
        let slice = FileSlice(file: 0, offset: 0, byteCount: UInt64(rows * columns * type.byteCount))
        return CapturedRows(
            tensor: name, columns: columns, elementType: type, slices: [RowSlice(slice: slice, rows: rows)])
    }

    /// An embedding and a head, tied or not, of two tasks.
    private func inventory(vocabulary: Int, _ type: ElementType, isTied: Bool) -> JobInventory {
        func checkpoint(_ file: Int) -> CheckpointInventory {
            let names = isTied ? ["wte.weight"] : ["wte.weight", "lm_head.weight"]
            let shard = CheckpointInventory.Shard(
                name: "model.safetensors", metadata: isTied ? ["lm_head.weight": "wte.weight"] : [:],
                tensors: names.map { tensor($0, [vocabulary, Self.width], type, file: file) })
            return CheckpointInventory(location: "models/\(file)", shards: [shard])
        }
        let ids = RowSlice(
            slice: FileSlice(file: 0, offset: 0, byteCount: UInt64(8 * Self.rows)), rows: Self.rows)
        let embedding = CaptureInventory.Layer(
            input: CapturedRows(tensor: "wte.input", columns: 1, rowType: .indices(.i64), slices: [ids]),
            outputGradient: captured("wte.output_grad", rows: Self.rows, columns: Self.width, type),
            samples: Self.samples, positions: Self.rows / Self.samples)
        let head = CaptureInventory.Layer(
            input: captured("lm_head.input", rows: Self.rows, columns: Self.width, type),
            outputGradient: captured("lm_head.output_grad", rows: Self.rows, columns: vocabulary, type),
            samples: Self.samples, positions: Self.rows / Self.samples)
        var captures = CaptureInventory(probes: 1, layers: ["wte": embedding, "lm_head": head], parameters: [:])
        captures.diagonals = [FactorName(owner: "lm_head", side: .gradient)]
        var inventory = JobInventory(files: [.of("/base.safetensors", role: "base")], base: checkpoint(0))
        for task in ["a", "b"] as [TaskName] {
            inventory.checkpoints[task] = checkpoint(0)
            inventory.captures[task] = captures
        }
        return inventory
    }

    @Test(
        arguments: [50_257, 250_112],
        [(.f32, "tak", true), (.bf16, "reduce", true), (.bf16, "expand", false)] as [(ElementType, String, Bool)])
    func `memory and disk grow with the vocabulary, and never with its square`(
        vocabulary: Int, form: (type: ElementType, normalization: String, isTied: Bool)
    ) throws {
        let spec = try JobFileText(
            method: "kfac", base: "b",
            models: ["- {name: a, model: a, captures: c}", "- {name: b, model: b, captures: d}"],
            rest: [
                "kfac:", "  normalization: \(form.normalization)",
                "outputs: [factors, regularizer, inverses, merged, report]",
            ]
        ).spec()
        let plan = try JobPlan(
            spec: spec, inventory: inventory(vocabulary: vocabulary, form.type, isTied: form.isTied))
        #expect(plan.blocks.map(\.name) == (form.isTied ? ["wte"] : ["lm_head", "wte"]))
        for block in plan.blocks {
            #expect(block.factors.map(\.shape.dimension).sorted() == [Self.width, vocabulary])
            #expect(block.factors.allSatisfy { $0.shape.isDiagonal == ($0.shape.dimension == vocabulary) })
        }
        // A few copies of the matrix in fp64, and the buffers of streams. A square of floats has 10 GB and more.
        let matrix = UInt64(vocabulary * Self.width * 8)
        let most = 8 * matrix + (256 << 20)
        #expect(most < UInt64(vocabulary * vocabulary))
        for unit in plan.units {
            #expect(unit.cost.memoryBytes < most, "\(unit.title): \(unit.cost.memoryBytes)")
            #expect(unit.cost.outputBytes < 4 * matrix, "\(unit.title): \(unit.cost.outputBytes)")
            #expect(unit.cost.multiplyAdds < 1e3 * Double(matrix), "\(unit.title): \(unit.cost.multiplyAdds)")
        }
        let summary = PlanSummary(of: plan)
        #expect(summary.diskBytes < 4 * matrix, "\(summary.diskBytes)")
        #expect(summary.wireBytes < 16 * matrix, "\(summary.wireBytes)")
    }
}
