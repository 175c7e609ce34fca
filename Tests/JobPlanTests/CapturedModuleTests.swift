import Identifiers
import JobPlan
import LinearAlgebra
import Testing
import UnitOperations

/// Captures by a library's modules, where the base stores others: each mistake is told with what to do.
@Suite struct CapturedModuleTests {
    @Test func `a grouped convolution that was captured as a whole is told its groups`() throws {
        var model = SmallModel()
        model.layers = [SmallModel.Layer(name: "conv", outputs: 4, inputs: 18)]
        model.parameters = []
        let spec = try JobFileText(models: ["- {model: a, captures: a}", "- {model: b, factors: b}"]).spec()
        var inventory = model.inventory(for: spec)
        inventory.captures["a"]?.layers["conv"]?.input.columns = 36
        let name = FactorName(owner: "conv", side: .input)
        let factor = try #require(inventory.factorSets["b"]?.factors[name])
        inventory.factorSets["b"]?.factors[name] = FactorSetInventory.Factor(
            shape: .full(37), elementType: factor.elementType, isPacked: false, slice: factor.slice)
        let advice = "If it is a convolution of 2 groups, each group is a layer: \"conv[0:2]\", \"conv[2:4]\"."
        #expect(
            spec.problems(against: inventory).map(\.message) == [
                "tensor \"conv.input\" has 36 columns; the base's \"conv.weight\" is [4, 18], so d_in = 18 was expected. "
                    + advice,
                "the factor \"conv.A\" is [37, 37]; the base's layer needs [19, 19]. " + advice,
            ])
    }

    @Test func `experts that are captured fused and stored one by one are one problem`() throws {
        var model = SmallModel()
        model.layers = (0..<3).map { SmallModel.Layer(name: "moe.experts.\($0).w1", hasBias: false) }
        let spec = try JobFileText(models: ["- {model: a, captures: a}", "- {model: b, captures: b}"]).spec()
        var inventory = model.inventory(for: spec)
        for task in ["a", "b"] as [TaskName] {
            let layers = try #require(inventory.captures[task]?.layers.values)
            inventory.captures[task]?.layers = Dictionary(
                uniqueKeysWithValues: layers.enumerated().map {
                    (LayerName(rawValue: "mlp.experts.gate_up_proj[\($0.offset)]"), $0.element)
                })
        }
        #expect(
            spec.problems(against: inventory).map(\.description) == [
                "models/base: task \"a\" has curvature for \"mlp.experts.gate_up_proj[0]\", "
                    + "\"mlp.experts.gate_up_proj[1]\", \"mlp.experts.gate_up_proj[2]\", which are parts of fused tensors; "
                    + "the base stores such parts one by one, as \"moe.experts.0.w1.weight\". Capture each by the base's "
                    + "names, or save the base and the models with fused tensors (in transformers: "
                    + "save_pretrained(save_original_format=False))."
            ])
    }
}
