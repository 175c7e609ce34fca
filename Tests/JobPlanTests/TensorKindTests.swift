import JobPlan
import LinearAlgebra
import Testing
import UnitOperations

/// The kind of a tensor, from its type and its name.
struct TensorKindTests {
    private func kind(_ name: String, _ type: String, beside: [String] = [], quantized: Bool = false) -> TensorKind {
        let names = [name] + beside
        let tensors = names.map { other in
            TensorInventory(
                name: other, elementType: other == name ? type : "F16", shape: [4],
                slice: FileSlice(file: 0, offset: 0, byteCount: 4))
        }
        let base = CheckpointInventory(
            location: "b", shards: [.init(name: "m", metadata: [:], tensors: tensors)], isQuantized: quantized)
        return TensorKinds([base]).kind(of: tensors[0])
    }

    @Test(arguments: ElementType.allCases) func `numbers are summed`(type: ElementType) {
        #expect(kind("a.weight", type.rawValue) == .summed(type))
    }

    @Test(arguments: [
        "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F6_E2M3", "F6_E3M2", "F4", "C64",
    ])
    func `no sum takes these`(type: String) {
        #expect(kind("anything", type) == .encoded)
    }

    @Test func `integers are weights by their name, by what stands beside them, or by what the model says`() {
        #expect(kind("a.weight", "I8") == .encoded)
        #expect(kind("a.qzeros", "I32") == .encoded)
        #expect(kind("a.g_idx", "I32") == .encoded)
        #expect(kind("a.stored", "I32", beside: ["a.scales"]) == .encoded)
        #expect(kind("a.weight_format", "U8", beside: ["a.SCB"]) == .encoded)
        #expect(kind("a.weight", "U8", beside: ["a.weight.quant_state.bitsandbytes__nf4"]) == .encoded)
        #expect(kind("a.stored", "U8", quantized: true) == .encoded)
    }

    /// Codes, and the numbers that decode them.
    private static let forms: [(codes: String, type: String, parameters: [String])] = [
        ("a.weight", "U8", ["a.weight.absmax", "a.weight.quant_map", "a.weight.nested_absmax"]),
        ("a.weight", "I8", ["a.SCB"]), ("a.qweight", "I32", ["a.scales"]),
        ("a.weight", "F8_E4M3", ["a.weight_scale", "a.weight_scale_inv", "a.input_scale"]),
        ("a.gate_up_proj", "F8_E4M3", ["a.gate_up_proj_scale_inv"]), ("a.W_q", "U8", ["a.scale", "a.zero"]),
        ("a.weight_packed", "I32", ["a.weight_scale", "a.weight_global_scale"]),
        ("a.weight._data", "I8", ["a.weight._scale"]), ("a.Qidxs", "I64", ["a.SU", "a.SV", "a.Wscale"]),
    ]

    @Test(arguments: forms)
    func `numbers beside codes are a part of them, and others are not`(
        form: (codes: String, type: String, parameters: [String])
    ) {
        let plain = ["a.bias", "a.weight_norm", "b.weight", "b.scale", "b.scales", "b.absmax"]
        let tensors = (form.parameters + plain + [form.codes]).enumerated().map { place, name in
            TensorInventory(
                name: name, elementType: name == form.codes ? form.type : "F32", shape: [4],
                slice: FileSlice(file: 0, offset: UInt64(16 * place), byteCount: 16))
        }
        let base = CheckpointInventory(location: "b", shards: [.init(name: "m", metadata: [:], tensors: tensors)])
        let kinds = TensorKinds([base])
        let encoded = tensors.filter { kinds.kind(of: $0) == .encoded }.map(\.name)
        #expect(encoded == form.parameters + [form.codes])
    }

    @Test func `counters, masks and indices are not`() {
        #expect(kind("bn.num_batches_tracked", "I64") == .buffer)
        #expect(kind("bn.num_batches_tracked", "I64", beside: ["bn.scales"]) == .buffer)
        #expect(kind("attn.bias", "BOOL", quantized: true) == .buffer)
        #expect(kind("embeddings.position_ids", "I64", quantized: true) == .buffer)
        #expect(kind("rng.state", "U8") == .buffer)
        #expect(kind("norm.steps", "I32", beside: ["norm.scale"]) == .buffer)
    }
}
