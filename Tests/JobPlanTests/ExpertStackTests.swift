import Identifiers
import JobPlan
import TaskArithmetic
import Testing
import UnitOperations

/// Tensors that hold all experts of a layer: each expert is merged alone, in the layout that is known.
@Suite struct ExpertStackTests {
    private static let up = "model.layers.0.mlp.experts.gate_up_proj"
    private static let down = "model.layers.0.mlp.experts.down_proj"

    /// A job of two models with these tensors.
    private func job(
        _ tensors: [(String, [Int])], method: String = "actmat", type: String? = nil, hidden: Int? = nil,
        experts: Int? = nil, rest: [String] = []
    ) throws -> (spec: JobSpec, inventory: JobInventory) {
        var spec = try JobFileText(method: method, rest: rest).spec()
        spec.outputs = [.merged]
        var base = CheckpointInventory(
            location: "models/base", shards: CheckpointInventory.of(tensors).shards, modelType: type)
        if type != nil || hidden != nil {
            base.configuration = ModelConfiguration(
                location: "models/base/config.json", values: hidden.map { ["hidden_size": "\($0)"] } ?? [:])
            base.configuration?.values["ffn_config.moe_num_experts"] = experts.map { "\($0)" }
        }
        var inventory = JobInventory(files: [.of("/base.safetensors", role: "base")], base: base)
        for task in spec.tasks {
            inventory.checkpoints[task.name] = .of(tensors, location: task.name.rawValue, file: inventory.files.count)
            inventory.files.append(.of("/\(task.name).safetensors", role: "checkpoint"))
        }
        return (spec, inventory)
    }

    private func plan(
        _ tensors: [(String, [Int])], method: String = "actmat", type: String? = nil, hidden: Int? = nil,
        rest: [String] = []
    ) throws -> JobPlan {
        let (spec, inventory) = try job(tensors, method: method, type: type, hidden: hidden, rest: rest)
        return try JobPlan(spec: spec, inventory: inventory)
    }

    /// The subject of each merge, with the rows and columns that the method sees.
    private func matrices(_ plan: JobPlan) -> [String] {
        [.tensorMerge, .tensorMeasurement].flatMap { plan.products.outputs(for: $0) }.compactMap { subject, output in
            guard let merge = plan.units[output.unit.position].operation as? MergeOperation else { return nil }
            return "\(subject) \(merge.parameters.shape.rows)x\(merge.parameters.shape.columns)"
        }
    }

    // MARK: - Parts

    @Test func `each expert is a unit, and reads and writes its own elements`() throws {
        let plan = try plan([(Self.down, [2, 4, 3])], hidden: 4)
        #expect(matrices(plan) == ["\(Self.down)[0] 4x3", "\(Self.down)[1] 4x3"])
        #expect(plan.mergedRegions.map(\.region.elements) == [ElementRuns(0..<12), ElementRuns(12..<24)])
        let merge = try #require(plan.units[1].operation as? MergeOperation)
        #expect(merge.base.map(\.slice) == [FileSlice(file: 0, offset: 8 + 48, byteCount: 48)])
    }

    @Test func `experts below each other in one matrix are as many as the configuration says`() throws {
        let start = "transformer.blocks.0.ffn.experts.mlp."
        let tensors = [("\(start)v1", [6, 4]), ("\(start)w1", [6, 4]), ("\(start)w2", [6, 4])]
        let (spec, inventory) = try job(tensors, type: "dbrx", experts: 2)
        let found = try JobPlan(spec: spec, inventory: inventory)
        #expect(
            matrices(found)
                == ["v1[0] 3x4", "v1[1] 3x4", "w1[0] 3x4", "w1[1] 3x4", "w2[0] 4x3", "w2[1] 4x3"].map { start + $0 })
        #expect(found.mergedRegions.map(\.region.elements).prefix(2) == [ElementRuns(0..<12), ElementRuns(12..<24)])
        for experts in [nil, 4] as [Int?] {
            let (spec, inventory) = try job(tensors, type: "dbrx", experts: experts)
            #expect(
                spec.problems(against: inventory).map(\.description) == [
                    "models/base/config.json: tensor \"\(start)v1\" [6, 4] (and 2 more) holds experts below each other, but "
                        + "config.json does not tell how many; expected \"ffn_config\": {\"moe_num_experts\": …}, which "
                        + "divides its rows. Copy the model's config.json beside it, or except the tensors with "
                        + "\"as_matrix\"."
                ])
        }
    }

    @Test func `experts that are stored as [d_in, d_out] are read as [d_out, d_in]`() throws {
        #expect(matrices(try plan([(Self.down, [1, 3, 4])], hidden: 4)) == ["\(Self.down)[0] 4x3"])
        #expect(matrices(try plan([(Self.up, [1, 4, 6])], hidden: 4)) == ["\(Self.up)[0] 6x4"])
    }

    @Test(arguments: [("gpt_oss", "in_out"), ("llama4", "in_out"), ("qwen3_moe", "out_in"), ("mixtral", "out_in")])
    func `where the widths are equal, the architecture tells the layout`(type: String, layout: String) throws {
        let plan = try plan([(Self.up, [1, 4, 4])], type: type, hidden: 4)
        let region = try #require(plan.mergedRegions.first).region
        #expect(region.layout.rawValue == layout)
        #expect(
            plan.notices.map(\.description) == [
                "models/base/config.json (model_type \"\(type)\"): the experts of \"\(Self.up)\" are merged one by one, "
                    + "each as \(layout == "in_out" ? "[d_in, d_out]" : "[d_out, d_in]")."
            ])
    }

    @Test func `the job may declare the layout, also of a tensor of another name`() throws {
        let plan = try plan([(Self.up, [1, 4, 4])], rest: ["kfac: {layout: {\"*.experts.gate_up_proj\": in_out}}"])
        #expect(plan.mergedRegions.map(\.region.layout) == [.inOut])
        let other = try self.plan([("blocks.w", [2, 4, 3])], rest: ["kfac: {layout: {\"blocks.w\": out_in}}"])
        #expect(matrices(other) == ["blocks.w[0] 4x3", "blocks.w[1] 4x3"])
    }

    @Test func `other tensors of three dimensions are merged as before, and biases element by element`() throws {
        let tensors: [(String, [Int])] = [
            ("conv.weight", [4, 3, 2]), ("\(Self.down)_bias", [2, 4]), ("experts.1.w", [4, 4]),
        ]
        #expect(matrices(try plan(tensors)) == ["experts.1.w 4x4"])
        #expect(
            matrices(try plan(tensors, method: "model_stock")) == [
                "conv.weight 1x24", "experts.1.w 4x4", "\(Self.down)_bias[0] 1x4", "\(Self.down)_bias[1] 1x4",
            ])
    }

    @Test(arguments: ["tsv_m", "iso_c", "model_stock", "ties"])
    func `a method that does not depend on the layout needs none`(method: String) throws {
        let plan = try plan([(Self.up, [1, 4, 6])], method: method)
        #expect((plan.mergedRegions.map(\.region) + plan.measuredRegions.map(\.region)).map(\.layout) == [.outIn])
        #expect(
            plan.notices.map(\.description) == [
                "models/base: the experts of \"\(Self.up)\" are merged one by one, each as it is stored."
            ])
    }

    // MARK: - Halves

    @Test func `the halves of a gate and its partner are units of their own`() throws {
        let split = ["split_fused: true"]
        let rows = try plan([(Self.up, [1, 6, 4])], hidden: 4, rest: split)
        #expect(matrices(rows) == ["\(Self.up)[0][0:3] 3x4", "\(Self.up)[0][3:6] 3x4"])
        #expect(rows.mergedRegions.map(\.region.elements) == [ElementRuns(0..<12), ElementRuns(12..<24)])
        let columns = try plan([(Self.up, [1, 4, 6])], hidden: 4, rest: split)
        #expect(
            columns.mergedRegions.map(\.region.elements) == [
                ElementRuns(from: 0, length: 3, distance: 6, count: 4),
                ElementRuns(from: 3, length: 3, distance: 6, count: 4),
            ])
        let turns = try plan([(Self.up, [1, 4, 6])], type: "gpt_oss", hidden: 4, rest: split)
        #expect(matrices(turns) == ["\(Self.up)[0][0::2] 3x4", "\(Self.up)[0][1::2] 3x4"])
        #expect(
            turns.mergedRegions.map(\.region.elements) == [
                ElementRuns(from: 0, length: 1, distance: 2, count: 12),
                ElementRuns(from: 1, length: 1, distance: 2, count: 12),
            ])
        #expect(
            turns.notices.map(\.message).first?.contains("its gate (even outputs) and up (odd outputs) apart") == true)
        let matrix = try plan([("mlp.gate_up_proj.weight", [6, 4])], rest: split)
        #expect(matrices(matrix) == ["mlp.gate_up_proj[0:3] 3x4", "mlp.gate_up_proj[3:6] 3x4"])
    }

    // MARK: - Problems

    private func problems(
        _ tensors: [(String, [Int])], method: String = "actmat", type: String? = nil, hidden: Int? = nil,
        rest: [String] = []
    ) throws -> [String] {
        let (spec, inventory) = try job(tensors, method: method, type: type, hidden: hidden, rest: rest)
        return spec.problems(against: inventory).map(\.description)
    }

    @Test(arguments: ["actmat", "tact", "wudi", "ace", "iso_cts", "della", "della_linear"])
    func `an unknown layout that matters is an error that says how to declare it`(method: String) throws {
        #expect(
            try problems([(Self.up, [2, 4, 4]), (Self.down, [2, 4, 4])], method: method, hidden: 4) == [
                "models/base: tensor \"\(Self.down)\" [2, 4, 4] (and 1 more) stacks 2 experts, but nothing tells whether "
                    + "each is [d_out, d_in] or [d_in, d_out], and the merge method \"\(method)\" depends on it. Declare it "
                    + "in the job, as in \"kfac: {layout: {\"*.experts.down_proj\": in_out}}\"; out_in means [d_out, d_in], "
                    + "as torch.nn.Linear has it."
            ])
    }

    @Test func `a declaration that contradicts the configuration is an error`() throws {
        #expect(
            try problems(
                [(Self.up, [1, 6, 4])], hidden: 4, rest: ["kfac: {layout: {\"*.experts.*\": in_out}}"]) == [
                    "job.yaml:6:17: the layout of \"\(Self.up)\" is in_out here, but out_in in models/base/config.json "
                        + "(hidden_size 4). Correct one of them."
                ])
    }

    @Test func `halves that cannot be told apart, or do not exist, are errors`() throws {
        let split = ["split_fused: true"]
        #expect(
            try problems([(Self.up, [1, 4, 4])], method: "tsv_m", rest: split) == [
                "models/base: tensor \"\(Self.up)\" [1, 4, 4] stacks 1 experts, but nothing tells whether each is [d_out, "
                    + "d_in] or [d_in, d_out], and \"split_fused\" depends on it. Declare it in the job, as in \"kfac: "
                    + "{layout: {\"*.experts.gate_up_proj\": in_out}}\"; out_in means [d_out, d_in], as torch.nn.Linear has "
                    + "it."
            ])
        #expect(
            try problems([(Self.up, [1, 5, 4])], hidden: 4, rest: split) == [
                "models/base: \"split_fused\" cannot split \"\(Self.up)\" [1, 5, 4], whose number of outputs is odd; "
                    + "expected as many of the gate as of its partner. Leave \"split_fused\" out, or correct the layout."
            ])
        #expect(
            try problems([("fc.weight", [4, 4])], rest: split) == [
                "job.yaml: \"split_fused\" is true, but the base has no weight \"gate_up_proj\" or \"input_linear\". Leave "
                    + "it out."
            ])
        #expect(
            try problems([("fc.weight", [4, 4])], method: "task_arithmetic", rest: split) == [
                "job.yaml: \"split_fused\" is true, but the merge method \"task_arithmetic\" merges no whole matrices. "
                    + "Leave it out."
            ])
    }
}
