import Testing

@testable import JobPlan

@Suite struct GlobTests {
    @Test(arguments: [
        ("blocks.*", "blocks.0.mlp.fc1", true), ("blocks.*", "blocks", false), ("blocks.*", "xblocks.0", false),
        ("*", "", true), ("*", "a/b.c", true), ("", "", true), ("", "a", false),
        ("*.fc?", "blocks.3.fc1", true), ("*.fc?", "blocks.3.fc", false), ("*.fc?", "blocks.3.fc12", false),
        ("a*b*c", "abc", true), ("a*b*c", "a.b.b.c", true), ("a*b*c", "a.c.b", false),
        ("**", "anything", true), ("?", "é", true), ("head", "head", true), ("head", "head2", false),
        ("[ab]", "a", false), ("[ab]", "[ab]", true), ("*b", "ab.ab", true),
    ])
    func `a star stands for any text and a question mark for one character`(
        pattern: String,
        name: String,
        matches: Bool
    ) {
        #expect(Glob(pattern).matches(name) == matches)
    }

    /// A recursive matcher takes 2^60 steps here.
    @Test func `a pattern of many stars does not explode`() {
        let pattern = String(repeating: "a*", count: 60) + "b"
        #expect(!Glob(pattern).matches(String(repeating: "a", count: 2000)))
    }
}

@Suite struct NetworkDepthTests {
    @Test func `blocks lie evenly from the first to the last`() {
        let depth = NetworkDepth(tensors: (0..<5).map { "model.layers.\($0).mlp.weight" })
        #expect((0..<5).map { depth.depth(of: "model.layers.\($0).norm.bias") } == [0, 0.25, 0.5, 0.75, 1])
    }

    @Test func `a network of one block lies at its end`() {
        #expect(NetworkDepth(tensors: ["blocks.0.fc.weight"]).depth(of: "blocks.0.fc.weight") == 1)
    }

    @Test func `tensors before and after the blocks lie at the start`() {
        let depth = NetworkDepth(tensors: ["embed.weight", "blocks.0.fc.weight", "blocks.1.fc.weight", "head.weight"])
        #expect(depth.depth(of: "embed.weight") == 0)
        #expect(depth.depth(of: "head.weight") == 0)
        #expect(depth.depth(of: "elsewhere.1.weight") == 0)
    }

    @Test func `two towers are counted apart`() {
        let depth = NetworkDepth(tensors: ["vision.layers.0.w", "vision.layers.4.w", "text.layers.2.w"])
        #expect(depth.depth(of: "vision.layers.2.w") == 0.5)
        #expect(depth.depth(of: "text.layers.2.w") == 1)
    }

    @Test func `the first number of a name is its block`() {
        let depth = NetworkDepth(tensors: ["layers.0.experts.7.w", "layers.1.experts.7.w"])
        #expect(depth.depth(of: "layers.0.experts.7.w") == 0)
        #expect(depth.depth(of: "layers.1.experts.0.w") == 1)
    }

    @Test func `numbers too large to be blocks are names`() {
        let name = "layers.99999999999999999999.w"
        #expect(NetworkDepth(tensors: [name]).depth(of: name) == 0)
    }
}
