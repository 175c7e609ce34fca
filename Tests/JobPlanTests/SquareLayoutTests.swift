import Identifiers
import JobPlan
import Testing

/// Square layers of models that store others as `[in, out]`.
struct SquareLayoutTests {
    private func problems(_ change: (inout CheckpointInventory) -> Void, layer: String = "fc") -> [String] {
        var model = SmallModel()
        model.layers = [SmallModel.Layer(name: layer, outputs: 4, inputs: 4)]
        var base = model.base
        change(&base)
        var inventory = JobInventory(base: base)
        inventory.checkpoints = ["a": base]
        inventory.captures = ["a": model.captures(file: 0)]
        let yaml = """
            merge_method: kfac
            base_model: b
            models:
              - {name: a, model: a, captures: c}
            output: out

            """
        guard let spec = JobSpec.reading(yaml: yaml, fileName: "job.yaml").spec else { return ["no job"] }
        return spec.problems(against: inventory).map(\.description)
    }

    /// Adds a transposed layer to the base: its bias is as long as its rows.
    private func addTransposed(_ base: inout CheckpointInventory) {
        let other = CheckpointInventory.of(
            [("attn.weight", [4, 12]), ("attn.bias", [12])], location: base.location, file: 0)
        base = CheckpointInventory(location: base.location, shards: base.shards + other.shards)
    }

    @Test func `a square layer beside a transposed one is refused with the evidence`() {
        let found = problems { addTransposed(&$0) }
        #expect(found.count == 1)
        #expect(
            found.first?.contains(
                "the layer \"fc\" is square, and the base stores \"attn.weight\" as [4, 12] beside a bias of 12")
                == true,
            "\(found)")
    }

    @Test func `of an architecture with Conv1D only its own layers are refused`() {
        func gpt2(_ base: inout CheckpointInventory) { base.modelType = "gpt2" }
        #expect(problems(gpt2, layer: "h.0.attn.c_proj").first?.contains("models of the type \"gpt2\"") == true)
        #expect(problems(gpt2, layer: "head").isEmpty)
    }

    @Test func `a square layer of any other model is used`() {
        #expect(problems { _ in }.isEmpty)
        #expect(problems { $0.modelType = "llama" }.isEmpty)
    }
}
