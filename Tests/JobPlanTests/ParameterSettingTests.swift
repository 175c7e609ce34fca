import JobPlan
import Testing

/// mergekit's value grammar, on which its users rely.
@Suite struct ParameterSettingTests {
    private func weight(_ yaml: String) throws -> ParameterSetting? {
        try JobFileText(models: ["- model: models/a", "  parameters:", "    weight: \(yaml)"]).spec()
            .tasks[0].parameters["weight"]
    }

    @Test func `a number is the same everywhere`() throws {
        let setting = try weight("0.5")
        #expect(setting == .scalar(0.5))
        #expect(setting?.value(tensor: "model.norm.weight", depth: 0) == 0.5)
        #expect(setting?.value(tensor: "model.layers.3.mlp.weight", depth: 1) == 0.5)
    }

    /// `weight: [0, 0.5, 1]` over a network of five blocks: t = 0, ¼, ½, ¾, 1.
    @Test(arguments: [(0.0, 0.0), (0.25, 0.25), (0.5, 0.5), (0.75, 0.75), (1, 1)])
    func `a list of numbers is interpolated over the depth`(depth: Double, value: Double) throws {
        #expect(try weight("[0, 0.5, 1]")?.value(tensor: "x", depth: depth) == value)
    }

    @Test(arguments: [(0.0, 1.0), (0.25, 0.85), (0.5, 0.7), (0.75, 0.4), (1, 0.1)])
    func `mergekit's density gradient has its values`(depth: Double, value: Double) throws {
        let found = try #require(try weight("[1, 0.7, 0.1]")?.value(tensor: "x", depth: depth))
        #expect(abs(found - value) < 1e-15)
    }

    @Test(arguments: [0.0, 0.5, 1.0])
    func `a list of one number is that number`(depth: Double) throws {
        #expect(try weight("[3]")?.value(tensor: "x", depth: depth) == 3)
    }

    @Test(arguments: [
        ("model.layers.0.mlp.up_proj.weight", 0.5), ("model.layers.0.self_attn.q_proj.weight", 0.25),
        ("lm_head.weight", 1),
    ])
    func `the first filter that is part of the tensor's name holds`(tensor: String, value: Double) throws {
        let setting = try weight("[{filter: mlp, value: 0.5}, {filter: self_attn, value: 0.25}, {value: 1}]")
        #expect(setting?.value(tensor: tensor, depth: 0) == value)
    }

    @Test func `a filter of a star matches everything`() throws {
        #expect(try weight("[{filter: '*', value: 2}, {value: 1}]")?.value(tensor: "x", depth: 0) == 2)
    }

    @Test func `a filtered value may be a gradient`() throws {
        let setting = try weight("[{filter: mlp, value: [0, 1]}, {value: 3}]")
        #expect(setting?.value(tensor: "layers.1.mlp.weight", depth: 0.5) == 0.5)
        #expect(setting?.value(tensor: "layers.1.attn.weight", depth: 0.5) == 3)
    }

    @Test func `nothing matches and null leave the value to the next level`() throws {
        let unmatched = try weight("[{filter: mlp, value: 1}]")
        #expect(unmatched?.value(tensor: "attn", depth: 0) == nil)
        let null = try weight("[{filter: mlp, value: null}, {value: 1}]")
        #expect(null?.value(tensor: "mlp", depth: 0) == nil)
        #expect(null?.value(tensor: "attn", depth: 0) == 1)
        #expect(try weight("null") == nil)
        #expect(try weight("~") == nil)
        #expect(try weight("") == nil)
    }
}

/// The level of a job file that applies to a tensor.
@Suite struct MergeSettingsTests {
    private let base = CheckpointInventory.of([
        ("embed.weight", [4, 2]), ("layers.0.mlp.weight", [2, 2]), ("layers.1.mlp.weight", [2, 2]),
        ("layers.2.mlp.weight", [2, 2]),
    ])

    private func settings(models: [String], rest: [String]) throws -> (MergeSettings, [TaskSpec]) {
        let spec = try JobFileText(models: models, rest: rest).spec()
        return (MergeSettings(spec: spec, base: base), spec.tasks)
    }

    @Test func `a model's own weight precedes the job's, which precedes 1`() throws {
        let (settings, tasks) = try settings(
            models: ["- {model: a, parameters: {weight: [{filter: mlp, value: 0.5}]}}", "- model: b"],
            rest: ["parameters: {weight: [{filter: layers, value: 2}]}"]
        )
        #expect(settings.weight(of: tasks[0], tensor: "layers.0.mlp.weight") == 0.5)
        #expect(settings.weight(of: tasks[1], tensor: "layers.0.mlp.weight") == 2)
        #expect(settings.weight(of: tasks[0], tensor: "embed.weight") == 1)
    }

    @Test func `a null of a model falls to the job's value`() throws {
        let (settings, tasks) = try settings(
            models: ["- {model: a, parameters: {weight: null}}"],
            rest: ["parameters: {weight: 3}"]
        )
        #expect(settings.weight(of: tasks[0], tensor: "embed.weight") == 3)
    }

    @Test func `a gradient runs from the first block to the last and is at its start outside the blocks`() throws {
        let (settings, tasks) = try settings(
            models: ["- {model: a, parameters: {weight: [0, 1]}}"],
            rest: ["parameters: {lambda: [2, 4]}"]
        )
        let tensors = ["embed.weight", "layers.0.mlp.weight", "layers.1.mlp.weight", "layers.2.mlp.weight"]
        #expect(tensors.map { settings.weight(of: tasks[0], tensor: $0) } == [0, 0, 0.5, 1])
        #expect(tensors.map { settings.scale(tensor: $0) } == [2, 2, 3, 4])
    }

    @Test func `lambda is 1 unless given`() throws {
        let (settings, _) = try settings(models: ["- model: a"], rest: [])
        #expect(settings.scale(tensor: "embed.weight") == 1)
    }
}
