import JobPlan
import RandomNumbers
import TaskArithmetic
import Testing

/// Weights that a base stores under two names, such as a head that is tied to its embedding.
@Suite struct SecondCopyTests {
    @Test func `a weight that the base stores under two names has the settings and random numbers of the first`() throws
    {
        let shapes = [
            ("embed_tokens.weight", [4, 2]), ("layers.0.mlp.weight", [2, 2]), ("layers.1.mlp.weight", [2, 2]),
            ("lm_head.weight", [4, 2]),
        ]
        var tied = CheckpointInventory.of(shapes)
        tied.note("lm_head.weight", asCopyOf: "embed_tokens.weight")
        let spec = try JobFileText(
            method: "dare_linear",
            models: [
                "- {model: a, parameters: {weight: [0.25, 1], density: [{filter: embed, value: 0.5}, {value: 0.75}]}}"
            ], rest: ["ignore: [\"*.1.*\"]"]
        ).spec()
        func values(_ base: CheckpointInventory, _ tensor: String) -> (Double, MergeArguments, RandomStream?) {
            let (settings, task) = (MergeSettings(spec: spec, base: base), spec.tasks[0])
            return (
                settings.weight(of: task, tensor: tensor), settings.arguments(of: task, tensor: tensor),
                settings.randomStream(of: task, tensor: tensor, part: tensor)
            )
        }
        let first = values(tied, "embed_tokens.weight")
        let second = values(tied, "lm_head.weight")
        #expect(first.0 == 0.25 && second.0 == 0.25)
        #expect(first.1 == second.1)
        #expect(first.2 != nil && first.2 == second.2)
        // Two weights of these names are two.
        let apart = values(CheckpointInventory.of(shapes), "lm_head.weight")
        #expect(apart.0 == 1 && apart.1 != first.1 && apart.2 != first.2)
        #expect(
            spec.allNotices(against: JobInventory(base: tied)).map(\.description).contains {
                $0.hasSuffix(
                    "the base holds one weight as \"lm_head.weight\" and as \"embed_tokens.weight\": both have the "
                        + "parameters of \"embed_tokens.weight\", so that they stay one.")
            })
    }

    @Test func `a weight under two names is copied under both`() throws {
        var tied = CheckpointInventory.of([("embed_tokens.weight", [4, 2]), ("lm_head.weight", [4, 2]), ("a", [1])])
        tied.note("lm_head.weight", asCopyOf: "embed_tokens.weight")
        let spec = try JobFileText(models: ["- model: a"], rest: ["ignore: [lm_head.weight]"]).spec()
        #expect(
            CopiedTensors(spec: spec, base: tied).names(.ignored) == ["embed_tokens.weight", "lm_head.weight"])
        #expect(
            spec.allNotices(against: JobInventory(base: tied)).map(\.description).contains {
                $0.hasSuffix("and \"ignore\" takes \"lm_head.weight\": both are copied, so that they stay one.")
            })
    }
}
