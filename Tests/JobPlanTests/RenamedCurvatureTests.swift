import Identifiers
import Testing

@testable import JobPlan

/// Captures whose names are not the base's: one cause is one problem, with the entry that corrects it.
@Suite struct RenamedCurvatureTests {
    private let model: SmallModel

    init() {
        var model = SmallModel()
        model.layers = (0..<4).flatMap { index in
            ["attn.q", "attn.v", "mlp.fc"].map { SmallModel.Layer(name: "layers.\(index).\($0)") }
        }
        model.parameters = (0..<4).map { ("layers.\($0).norm.weight", 4) }
        self.model = model
    }

    /// The problems of a job of two tasks, whose captured names change.
    private func problems(
        rest: [String] = [], _ change: (_ task: TaskName, _ name: String) -> String
    ) throws -> [String] {
        let spec = try JobFileText(
            models: ["a", "b"].map { "- {model: models/\($0), captures: \($0)}" }, rest: rest
        ).spec()
        var inventory = model.inventory(for: spec)
        for (task, captures) in inventory.captures {
            var renamed = captures
            renamed.layers = Dictionary(
                uniqueKeysWithValues: captures.layers.map {
                    (LayerName(rawValue: change(task, $0.key.rawValue)), $0.value)
                })
            renamed.parameters = Dictionary(
                uniqueKeysWithValues: captures.parameters.map {
                    (ParameterName(rawValue: change(task, $0.key.rawValue)), $0.value)
                })
            inventory.captures[task] = renamed
        }
        return spec.problems(against: inventory).map(\.description)
    }

    @Test func `names that one task alone has are one problem, without what the task lacks because of them`() throws {
        let found = try problems { $0 == "a" ? $1 : $1.replacing(".mlp.", with: ".feed.forward.") }
        #expect(
            found == [
                "models/base: all 4 layers that differ by name in the curvature of \"b\" have \"feed.forward\" where the "
                    + "base has \"mlp\". Name them as the base does, or write rename: {\"*.feed.forward.*\": \"*.mlp.*\"} "
                    + "in the model's entry."
            ])
    }

    @Test func `a change of all tasks is one problem, with their layers and parameters`() throws {
        let found = try problems { "module.\($1)" }
        #expect(
            found == [
                "models/base: all 16 layers and parameters that differ by name in the curvature of \"a\", \"b\" begin with "
                    + "\"module.\", those of the base do not. They are of a model that is wrapped by "
                    + "torch.nn.DataParallel or DistributedDataParallel. Name them as the base does, or write rename: "
                    + "{\"module.*\": \"*\"} in the model's entry."
            ])
    }

    @Test func `changes of two tasks are two problems`() throws {
        let found = try problems { $0 == "a" ? "module.\($1)" : "_orig_mod.\($1)" }
        #expect(found.count == 2)
        #expect(found[0].contains("of \"a\" begin with \"module.\""))
        #expect(found[1].contains("of \"b\" begin with \"_orig_mod.\""))
    }

    @Test func `an adapter's two wrappers are one problem, with all entries`() throws {
        let found = try problems { task, name in
            guard task == "b" else { return name }
            return "base_model.model.\(name)" + (name.hasSuffix(".q") || name.hasSuffix(".v") ? ".base_layer" : "")
        }
        #expect(
            found == [
                "models/base: all 16 layers and parameters that differ by name in the curvature of \"b\" hold "
                    + "\"base_model.model\", \"base_layer\", those of the base do not. They are of a model that is wrapped "
                    + "by PEFT. Name them as the base does, or write rename: {\"base_model.model.*\": \"*\", "
                    + "\"*.base_layer\": \"*\"} in the model's entry."
            ])
    }

    @Test func `the entries of an adapter's tensors give the base's names`() throws {
        let base = (0..<20).flatMap { ["layers.\($0).q.weight", "layers.\($0).q.bias", "layers.\($0).norm.weight"] }
        let found = base.map { "base_model.model." + $0.replacing(".q.", with: ".q.base_layer.") }
        let mapping = try #require(NameMapping(from: base, to: found))
        #expect(mapping.change == .inserted(["base_model.model", "base_layer"]))
        #expect(
            mapping.proposal(keeping: [])
                == "rename: {\"base_model.model.*\": \"*\", \"*.base_layer.*\": \"*.*\"}")
    }

    @Test func `parts of layers change with their modules`() throws {
        var model = SmallModel()
        model.layers = []
        model.others = (0..<3).map { ("attn.\($0).in_proj_weight", [12, 4]) }
        let spec = try JobFileText(models: ["- {model: models/a, captures: a}"]).spec()
        var inventory = model.inventory(for: spec)
        var part = SmallModel()
        part.layers = (0..<3).map { SmallModel.Layer(name: "module.attn.\($0).in_proj[0:4]", outputs: 4) }
        inventory.captures["a"] = part.captures(file: 2)
        #expect(
            spec.problems(against: inventory).map(\.description) == [
                "models/base: all 3 layers that differ by name in the curvature of \"a\" begin with \"module.\", those of "
                    + "the base do not. They are of a model that is wrapped by torch.nn.DataParallel or "
                    + "DistributedDataParallel. Name them as the base does, or write rename: {\"module.*\": \"*\"} in the "
                    + "model's entry."
            ])
    }

    @Test func `names that the job leaves out are no problem`() throws {
        let found = try problems(rest: ["kfac: {layers: [\"*\", \"!*.mlp.*\", \"!*.feed.forward.*\"]}"]) {
            $0 == "a" ? $1 : $1.replacing(".mlp.", with: ".feed.forward.")
        }
        #expect(found == [])
    }
}
