import Identifiers
import Laboratory
import LinearAlgebra
import ReferenceModel
import Safetensors
import SystemPackage
import TestSupport
import Testing

struct BaseModelTests {
    private let model: TinyModel

    init() throws { model = try TinyModel() }

    @Test func `parameters stand in the layout's order, frozen tensors in the embedding`() throws {
        let tensors = Dictionary(uniqueKeysWithValues: try TinyModel.tensors(seed: 1).map { ($0.name, $0.values) })
        for entry in model.base.layout.entries {
            #expect(Array(model.base.parameters[entry.range]) == tensors[entry.name])
        }
        #expect(model.base.embedding.weight == tensors["patch.weight"])
        #expect(model.base.embedding.bias == tensors["patch.bias"])
        #expect(model.base.embedding.positions == tensors["pos_embed"])
    }

    @Test func `a written task vector comes back, frozen tensors and metadata stay`() throws {
        var random = SplitMix64(seed: 2)
        let vector = random.values(model.base.layout.count).map { Float($0) * 0.125 }
        let path = model.path("tuned.safetensors")
        try model.base.write(vector, to: path, metadata: ["task": "a"])
        expectClose(try model.base.taskVector(of: path), vector, absolute: 1e-7)
        let tuned = try BaseModel(opening: path)
        #expect(tuned.embedding.weight == model.base.embedding.weight)
        #expect(tuned.file.header.metadata == ["cfg": TinyModel.configuration, "task": "a"])
    }

    @Test func `heads are read with their number of classes`() throws {
        let path = model.path("heads")
        try TinyModel.write(
            [.init(name: "a.head", shape: [2, 6], values: (0..<12).map(Float.init))], metadata: [:], to: path)
        let heads = try model.base.heads(of: ["a"], in: path)
        #expect(heads == ["a": ClassHead(weights: (0..<12).map(Float.init), classCount: 2, featureWidth: 6)])
    }

    // MARK: - What cannot be read

    private func refusal(_ tensors: [TinyModel.Tensor], configuration: String?) throws -> String {
        let path = model.path("other")
        try TinyModel.write(tensors, metadata: configuration.map { ["cfg": $0] } ?? [:], to: path)
        return message { () throws(LaboratoryError) in _ = try BaseModel(opening: path) }
    }

    private func changed(_ name: String, _ change: (inout TinyModel.Tensor) -> Void) throws -> [TinyModel.Tensor] {
        try TinyModel.tensors(seed: 1).map { tensor in
            var tensor = tensor
            if tensor.name == name { change(&tensor) }
            return tensor
        }
    }

    @Test(arguments: [nil, "no JSON", "{}", #"{"d": "8"}"#, #"{"d": 8.5}"#, #"{"d": 99999999999999999999}"#])
    func `a base without its sizes is refused`(_ configuration: String?) throws {
        #expect(
            try refusal(TinyModel.tensors(seed: 1), configuration: configuration)
                == "\(model.path("other")): no model sizes; expected a \"cfg\" entry of the metadata like {\"d\": 64, "
                + "\"depth\": 3, \"heads\": 4, \"mlp\": 4, \"patch\": 7, \"out\": 64}. Give the lab's own base "
                + "checkpoint.")
    }

    @Test func `sizes that do not fit together are refused`() throws {
        let configuration = #"{"d": 8, "depth": 1, "heads": 3, "mlp": 2, "patch": 14, "out": 6}"#
        #expect(
            try refusal(TinyModel.tensors(seed: 1), configuration: configuration)
                == "\(model.path("other")): The model's shape is not possible: 3 heads do not divide the width 8.")
    }

    @Test func `a missing tensor is named with the shape that it should have`() throws {
        let tensors = try TinyModel.tensors(seed: 1).filter { $0.name != "ln_pre.bias" }
        #expect(
            try refusal(tensors, configuration: TinyModel.configuration)
                == "\(model.path("other")): tensor \"ln_pre.bias\" is missing; the base's model expects [8]. Give files "
                + "of the same model: a checkpoint that was fine-tuned from this base, or its heads.")
    }

    @Test func `a tensor of another shape is named with both`() throws {
        let tensors = try changed("lin_proj.weight") { $0.shape = [8, 6] }
        #expect(
            try refusal(tensors, configuration: TinyModel.configuration)
                == "\(model.path("other")): tensor \"lin_proj.weight\" is F32 [8, 6]; the base's model expects [6, 8] of "
                + "F64, F32, F16 or BF16. Give files of the same model: a checkpoint that was fine-tuned from this base, or "
                + "its heads.")
    }

    @Test func `a checkpoint of another architecture has no task vector`() throws {
        let path = model.path("other")
        try TinyModel.write(
            changed("cls_token") {
                $0.shape = [4]
                $0.values = [1, 2, 3, 4]
            }, metadata: [:], to: path)
        #expect(
            message { () throws(LaboratoryError) in _ = try model.base.taskVector(of: path) }
                == "\(path): tensor \"cls_token\" is F32 [4]; the base's model expects [8] of F64, F32, F16 or BF16. "
                + "Give files of the same model: a checkpoint that was fine-tuned from this base, or its heads.")
    }

    @Test func `a task without a head is refused with those that have one`() throws {
        let path = model.path("heads")
        try TinyModel.write(
            [.init(name: "a.head", shape: [1, 6], values: [Float](repeating: 1, count: 6))], metadata: [:], to: path)
        #expect(
            message { () throws(LaboratoryError) in _ = try model.base.heads(of: ["b"], in: path) }
                == "\(path): no task \"b\"; it holds a.head.")
    }

    @Test func `a head for features of another length is refused`() throws {
        let path = model.path("heads")
        try TinyModel.write(
            [.init(name: "a.head", shape: [2, 3], values: [Float](repeating: 1, count: 6))], metadata: [:], to: path)
        #expect(
            message { () throws(LaboratoryError) in _ = try model.base.heads(of: ["a"], in: path) }
                == "\(path): tensor \"a.head\" is F32 [2, 3]; the base's model expects [2, 6] of F64, F32, F16 or BF16. "
                + "Give files of the same model: a checkpoint that was fine-tuned from this base, or its heads.")
    }
}
