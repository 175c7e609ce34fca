import Identifiers
import Testing
import UnitOperations

@testable import JobPlan

/// The places of layers and parameters in the base's tensors.
struct StoredLayerTests {
    private func regions(_ model: StoredModel) throws -> [String: [String]] {
        Dictionary(
            uniqueKeysWithValues: try model.blocks().map { block in
                (block.name, block.regions.map { "\($0.tensor) \($0.elements) \($0.layout.rawValue)" })
            })
    }

    // MARK: - Names

    @Test func `an address names an index, output rows, or both`() {
        #expect(LayerAddress("w[3]")?.index == 3)
        #expect(LayerAddress("a.qkv[0:768]")?.rows == 0..<768)
        let both = LayerAddress("w[1][2:4]")
        #expect(both?.module == "w" && both?.index == 1 && both?.rows == 2..<4)
        #expect(LayerAddress("w[1][2]")?.module == "w[1]")
        for name in ["w", "w[]", "[3]", "w[3] ", "w[4:2]", "w[-1]", "w[a]"] { #expect(LayerAddress(name) == nil) }
    }

    @Test func `a weight is looked for under its module, then beside it, then as the name itself`() throws {
        let model = StoredModel(
            tensors: [
                ("a.weight", [2, 3]), ("a_weight", [2, 3]), ("a.bias", [2]), ("in_proj_weight", [4, 3]),
                ("in_proj_bias", [4]), ("experts", [5, 3]),
            ],
            layers: [("a", 3, 2), ("in_proj", 3, 4), ("experts", 3, 5)])
        #expect(
            try regions(model) == [
                "a": ["a.weight 0..<6 out_in", "a.bias 0..<2 out_in"],
                "in_proj": ["in_proj_weight 0..<12 out_in", "in_proj_bias 0..<4 out_in"],
                "experts": ["experts 0..<15 out_in"],
            ])
    }

    @Test func `experts, rows and groups are contiguous parts, with their parts of the bias`() throws {
        let model = StoredModel(
            tensors: [
                ("up", [4, 3, 2]), ("up_bias", [4, 3]), ("conv.weight", [4, 2, 3, 3]), ("conv.bias", [4]),
                ("down", [4, 2, 3]), ("down_bias", [4, 3]),
            ],
            layers: [
                ("up[0]", 2, 3), ("up[2][1:3]", 2, 2), ("conv[0:2]", 18, 2), ("conv[2:4]", 18, 2), ("down[3]", 2, 3),
                ("down[1][0:3]", 2, 3),
            ], curvature: [#"layout: {"down*": in_out}"#])
        #expect(
            try regions(model) == [
                "up[0]": ["up 0..<6 out_in", "up_bias 0..<3 out_in"],
                "up[2][1:3]": ["up 14..<18 out_in", "up_bias 7..<9 out_in"],
                "conv[0:2]": ["conv.weight 0..<36 out_in", "conv.bias 0..<2 out_in"],
                "conv[2:4]": ["conv.weight 36..<72 out_in", "conv.bias 2..<4 out_in"],
                "down[3]": ["down 18..<24 in_out", "down_bias 9..<12 out_in"],
                "down[1][0:3]": ["down 6..<12 in_out", "down_bias 3..<6 out_in"],
            ])
    }

    @Test func `outputs of a weight that is stored as d_in by d_out are columns, with their part of the bias`() throws {
        let model = StoredModel(
            tensors: [
                ("c_attn.weight", [4, 9]), ("c_attn.bias", [9]), ("down", [2, 3, 5]), ("down_bias", [2, 5]),
            ],
            layers: [("c_attn[0:3]", 4, 3), ("c_attn[3:6]", 4, 3), ("c_attn[6:9]", 4, 3), ("down[1][4:5]", 3, 1)],
            curvature: [#"layout: {"c_attn*": in_out, "down*": in_out}"#])
        #expect(
            try regions(model) == [
                "c_attn[0:3]": [
                    "c_attn.weight 0..<3 and 3 more at a distance of 9 in_out", "c_attn.bias 0..<3 out_in",
                ],
                "c_attn[3:6]": [
                    "c_attn.weight 3..<6 and 3 more at a distance of 9 in_out", "c_attn.bias 3..<6 out_in",
                ],
                "c_attn[6:9]": [
                    "c_attn.weight 6..<9 and 3 more at a distance of 9 in_out", "c_attn.bias 6..<9 out_in",
                ],
                "down[1][4:5]": ["down 19..<20 and 2 more at a distance of 5 in_out", "down_bias 9..<10 out_in"],
            ])
    }

    @Test func `a convolution of three dimensions is a matrix of its output channels`() throws {
        let model = StoredModel(
            tensors: [("conv.weight", [4, 2, 3, 2, 5]), ("conv.bias", [4])],
            layers: [("conv", 60, 4)])
        #expect(try regions(model) == ["conv": ["conv.weight 0..<240 out_in", "conv.bias 0..<4 out_in"]])
        let groups = StoredModel(
            tensors: [("conv.weight", [4, 2, 3, 2, 5])], layers: [("conv[0:2]", 60, 2), ("conv[2:4]", 60, 2)])
        #expect(
            try regions(groups) == [
                "conv[0:2]": ["conv.weight 0..<120 out_in"], "conv[2:4]": ["conv.weight 120..<240 out_in"],
            ])
    }

    @Test func `parameters may be parts of stacked tensors`() throws {
        let model = StoredModel(
            tensors: [("fc.weight", [2, 3]), ("norms.weight", [3, 4]), ("p", [6])], layers: [("fc", 3, 2)],
            parameters: [("norms.weight[1]", 4), ("p[2:6]", 4)])
        let found = try regions(model)
        #expect(found["norms.weight[1]"] == ["norms.weight 4..<8 out_in"])
        #expect(found["p[2:6]"] == ["p 2..<6 out_in"])
    }

    // MARK: - Ties

    @Test func `a tied name is the tensor that it is tied to, as the file or the configuration tells`() throws {
        var model = StoredModel(
            tensors: [("wte.weight", [5, 3]), ("wpe.weight", [7, 3])], layers: [("lm_head", 3, 5)])
        #expect(try model.problems().first?.contains("no tensor \"lm_head.weight\"") == true)
        model.metadata = ["lm_head.weight": "wte.weight"]
        #expect(try regions(model) == ["lm_head": ["wte.weight 0..<15 out_in"]])
        (model.metadata, model.configuration) = ([:], [:])
        #expect(try regions(model) == ["lm_head": ["wte.weight 0..<15 out_in"]])
        model.configuration = ["tie_word_embeddings": "false"]
        #expect(try model.problems().count == 1)
    }

    // MARK: - The rest

    @Test func `what no region covers is the rest, in order`() throws {
        let tensor = try #require(CheckpointInventory.of([("w", [10])]).tensors["w"])
        let coverage = RegionCoverage([
            ParameterRegion(tensor: "w", elements: 6..<8), ParameterRegion(tensor: "w", elements: 1..<3),
            ParameterRegion(tensor: "v", elements: 0..<10),
        ])
        #expect(coverage.rest(of: tensor) == [0..<1, 3..<6, 8..<10].map(ElementRuns.init))
        #expect(RegionCoverage([ParameterRegion(tensor: "w", elements: 0..<10)]).rest(of: tensor) == [])
        #expect(RegionCoverage([]).rest(of: tensor) == [ElementRuns(0..<10)])
        #expect(coverage.touches("w") && !coverage.touches("u"))
    }

    @Test func `the rest of a matrix of which columns are covered is the other columns`() throws {
        let tensor = try #require(CheckpointInventory.of([("w", [4, 9])]).tensors["w"])
        func rest(_ columns: Range<Int>...) -> [ElementRuns] {
            RegionCoverage(
                columns.map {
                    let runs = ElementRuns(from: $0.lowerBound, length: $0.count, distance: 9, count: 4)
                    return ParameterRegion(tensor: "w", elements: runs, layout: .inOut)
                }
            ).rest(of: tensor)
        }
        #expect(rest(0..<3) == [ElementRuns(from: 3, length: 6, distance: 9, count: 4)])
        #expect(rest(6..<9, 0..<3) == [ElementRuns(from: 3, length: 3, distance: 9, count: 4)])
        #expect(
            rest(3..<6) == [
                ElementRuns(0..<3), ElementRuns(from: 6, length: 6, distance: 9, count: 3), ElementRuns(33..<36),
            ])
        #expect(rest(0..<3, 3..<6, 6..<9) == [])
    }

    // MARK: - What is refused

    @Test func `parts that overlap are refused with both names, once for each cause`() throws {
        let model = StoredModel(
            tensors: [("qkv.weight", [6, 3]), ("qkv.bias", [6])],
            layers: [("qkv", 3, 6), ("qkv[0:2]", 3, 2), ("qkv[4:6]", 3, 2)])
        #expect(
            try model.problems() == [
                "models/base: parameter \"qkv.bias\" has curvature twice, in \"qkv\" and in \"qkv[0:2]\", \"qkv[4:6]\". "
                    + "Leave one of them out with \"layers\"."
            ])
    }

    @Test func `columns that overlap are refused, and columns side by side are not`() throws {
        func problems(_ parts: (String, Int)...) throws -> [String] {
            try StoredModel(
                tensors: [("qkv.weight", [3, 6])], layers: parts.map { ($0.0, 3, $0.1) },
                curvature: [#"layout: {"qkv*": in_out}"#]
            ).problems()
        }
        #expect(try problems(("qkv[0:2]", 2), ("qkv[2:4]", 2), ("qkv[5:6]", 1)) == [])
        #expect(
            try problems(("qkv[0:3]", 3), ("qkv[2:4]", 2), ("qkv[5:6]", 1)) == [
                "models/base: parameter \"qkv.weight\" has curvature twice, in \"qkv[0:3]\" and in \"qkv[2:4]\". Leave "
                    + "one of them out with \"layers\"."
            ])
        #expect(try problems(("qkv", 6), ("qkv[5:6]", 1)).count == 1)
    }

    @Test(arguments: [
        ("w[4]", "tensor \"w\" is F32 [4, 3, 2] and has no part [4]"),
        ("m[0]", "tensor \"m.weight\" is F32 [3, 2] and has no part [0]"),
        ("m[2:4]", "is the outputs 2 to 4 of \"m.weight\" [3, 2] (out_in), which has 3"),
        ("m[1:1]", "expected at least one of them"),
        ("n[3:5]", "is the outputs 3 to 5 of \"n.weight\" [2, 3] (in_out), which has 3"),
        ("v", "tensor \"v\" is F32 [9]; a layer with factors needs a floating-point matrix"),
        ("e[0]", "the bias of \"e\" [2, 4, 5] must be a floating-point matrix [2, 4]"),
    ])
    func `a part that is not there is refused with the reason`(layer: String, sentence: String) throws {
        let model = StoredModel(
            tensors: [
                ("w", [4, 3, 2]), ("m.weight", [3, 2]), ("n.weight", [2, 3]), ("v", [9]), ("e", [2, 4, 5]),
                ("e_bias", [4]),
            ],
            layers: [(layer, 2, 3)], curvature: layer == "n[3:5]" ? [#"layout: {"n*": in_out}"#] : [])
        let found = try model.problems()
        #expect(found.count == 1 && found[0].contains(sentence), "\(found)")
    }

    @Test func `curvature of a tensor that slice cuts is refused by that cause`() throws {
        let model = SmallModel()
        let spec = try JobFileText(
            models: ["- {model: a, captures: c}"], rest: ["mismatched_shapes: slice"]
        ).spec()
        var inventory = model.inventory(for: spec)
        inventory.base.cut("fc2.weight", toRows: 1)
        for task in inventory.checkpoints.keys { inventory.checkpoints[task]?.cut("fc2.weight", toRows: 1) }
        #expect(
            spec.problems(against: inventory).map(\.description) == [
                "models/base: \"fc2\" has curvature of all 2 rows of \"fc2.weight\", of which \"mismatched_shapes: slice\" "
                    + "merges only the first 1. Leave it out with \"layers\", or write \"mismatched_shapes: base\" to keep "
                    + "the base's tensor."
            ])
    }
}
