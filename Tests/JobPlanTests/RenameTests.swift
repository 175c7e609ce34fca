import Identifiers
import Testing
import UnitOperations

@testable import JobPlan

/// The key `rename`: its patterns, what it does to a task's names, and the entries that messages propose.
@Suite struct RenameTests {
    private static func rule(_ from: String, _ to: String) -> RenameRule {
        RenameRule(from: Located(from, at: ""), to: Located(to, at: ""))
    }

    // MARK: - One entry

    @Test(arguments: [
        ("module.*", "*", "module.fc.weight", "fc.weight"), ("module.*", "*", "fc.weight", nil),
        ("module.*", "*", "module.", nil), ("*", "model.*", "fc", "model.fc"), ("a.b", "c", "a.b", "c"),
        ("a.b", "c", "a.b.c", nil), ("*.base_layer.*", "*.*", "q.base_layer.weight", "q.weight"),
        // The first place counts, and the rest stays.
        ("*.x.*", "*.*", "a.x.b.x.c", "a.b.x.c"), ("*.x", "*", "a.x.b.x", "a.x.b"),
        ("h.*.mlp.*", "layers.*.ffn.*", "h.3.mlp.fc.weight", "layers.3.ffn.fc.weight"),
        // A pattern's start and end must not share text.
        ("ab*ba", "*", "aba", nil), ("ab*ba", "x*", "abba", "x"), ("?*", "*", "ab", nil),
    ])
    func `each star stands for the text at its place`(from: String, to: String, name: String, result: String?) {
        #expect(Self.rule(from, to).newName(of: name) == result)
    }

    @Test func `an entry must have as many stars on both sides`() {
        let text = JobFileText(models: ["- {model: models/a, rename: {\"a.*\": \"b\"}}"])
        #expect(
            problems(in: text.yaml) == [
                "job.yaml:4:39: \"rename\" gives \"a.*\" with 1 * the name \"b\" with 0; expected as many, because each * of "
                    + "the name stands for the text of the pattern's * at the same place."
            ])
        for bad in ["[a]", "{}", "a"] {
            let text = JobFileText(models: ["- {model: models/a, rename: \(bad)}"])
            #expect(
                problems(in: text.yaml) == [
                    "job.yaml:4:31: \"rename\" must be a mapping of patterns to names, such as {\"module.*\": \"*\"}."
                ])
        }
    }

    @Test func `the base is not renamed`() throws {
        let spec = try JobFileText(
            models: ["- {model: models/base, rename: {\"a.*\": \"*\"}}", "- model: models/a"]
        ).spec()
        #expect(
            spec.problems(against: model.inventory(for: spec)).map(\.description) == [
                "job.yaml:4:35: \"rename\" has no effect on the base: all other names are compared with its own. Remove it."
            ])
    }

    // MARK: - A task

    private let model = SmallModel()

    /// The problems and notices of a job whose task's files have other names than the base.
    private func findings(
        rename: String, rest: [String] = [], _ change: (String) -> String
    ) throws -> (problems: [String], notices: [String], inventory: JobInventory, spec: JobSpec) {
        let spec = try JobFileText(
            models: ["- {model: models/a, captures: a, rename: \(rename)}"], rest: rest
        ).spec()
        var inventory = model.inventory(for: spec)
        let checkpoint = try #require(inventory.checkpoints["a"]).changing {
            var tensor = $0
            tensor.name = change($0.name)
            return tensor
        }
        var captures = try #require(inventory.captures["a"])
        captures.layers = Dictionary(
            uniqueKeysWithValues: captures.layers.map { (LayerName(rawValue: change($0.key.rawValue)), $0.value) })
        captures.parameters = Dictionary(
            uniqueKeysWithValues: captures.parameters.map {
                (ParameterName(rawValue: change($0.key.rawValue)), $0.value)
            })
        var renaming = TaskRenaming(of: "a", by: spec.tasks[0].renames)
        inventory.checkpoints["a"] = checkpoint.renamed(by: &renaming)
        inventory.captures["a"] = captures.renamed(by: &renaming)
        inventory.renamings["a"] = renaming
        return (
            spec.problems(against: inventory).map(\.description),
            spec.allNotices(against: inventory).map(\.description),
            inventory, spec
        )
    }

    @Test func `a wrapped model goes by the base's names, with the plan of the plain one`() throws {
        let found = try findings(rename: "{\"module.*\": \"*\"}") { "module." + $0 }
        #expect(found.problems == [])
        #expect(
            found.notices == [
                "job.yaml:4:45: \"rename\" of task \"a\" changed names: 5 of tensors, 2 of layers, 1 of parameters."
            ])
        let plain = model.inventory(for: found.spec)
        #expect(found.inventory.checkpoints["a"]?.tensors == plain.checkpoints["a"]?.tensors)
        let plan = try JobPlan(spec: found.spec, inventory: found.inventory)
        let expected = try JobPlan(spec: found.spec, inventory: plain)
        #expect(plan.blocks.map(\.name) == ["fc1", "fc2", "norm.weight"])
        #expect(plan.units.map(\.title) == expected.units.map(\.title))
    }

    @Test func `layers of PEFT are those that it wraps`() throws {
        let found = try findings(
            rename: "{\"base_model.model.*\": \"*\", \"*.base_layer.*\": \"*.*\", \"*.base_layer\": \"*\"}"
        ) { name in
            let parts = name.split(separator: ".")
            guard parts[0].hasPrefix("fc") else { return "base_model.model." + name }
            return (["base_model.model", String(parts[0]), "base_layer"] + parts.dropFirst().map(String.init))
                .joined(separator: ".")
        }
        #expect(found.problems == [])
        #expect(found.inventory.captures["a"]?.layers.keys.map(\.rawValue).sorted() == ["fc1", "fc2"])
        #expect(found.inventory.checkpoints["a"]?.tensors["fc1.weight"] != nil)
    }

    @Test func `factors go by the new names, each with its side`() throws {
        var renaming = TaskRenaming(of: "a", by: [Self.rule("fc1", "head"), Self.rule("norm.*", "ln.*")])
        let set = model.factorSet(file: 0).renamed(by: &renaming)
        #expect(set.factors.keys.map(\.description).sorted() == ["fc2.A", "fc2.B", "head.A", "head.B", "ln.weight.F"])
        #expect(renaming.problems == [])
    }

    @Test func `an address stays at the end of a renamed layer`() {
        var renaming = TaskRenaming(of: "a", by: [Self.rule("*.base_layer", "*")])
        let names = ["e.base_layer[3][0:8]", "q.base_layer[0:4]", "q.base_layer"]
        #expect(renaming.newNames(of: names, .layer).values.sorted() == ["e[3][0:8]", "q", "q[0:4]"])
    }

    @Test func `a pattern that matches nothing is one problem, without the names that it leaves`() throws {
        let found = try findings(rename: "{\"modul.*\": \"*\"}") { $0 == "embed.weight" ? "embed.w" : $0 }
        #expect(
            found.problems == [
                "job.yaml:4:45: the pattern \"modul.*\" of \"rename\" matches none of the 7 names of task \"a\" (tensors, "
                    + "layers and parameters), after the entries before it."
            ])
    }

    @Test func `two names that would become one are refused`() throws {
        let found = try findings(rename: "{\"fc2*\": \"fc1*\"}") { $0 }
        #expect(
            found.problems == [
                "job.yaml:4:45: \"rename\" of task \"a\" gives 2 tensors the name \"fc1.weight\": \"fc1.weight\", "
                    + "\"fc2.weight\". Narrow the pattern, so that each has a name of its own.",
                "job.yaml:4:45: \"rename\" of task \"a\" gives 2 layers the name \"fc1\": \"fc1\", \"fc2\". Narrow the "
                    + "pattern, so that each has a name of its own.",
            ])
        var renaming = TaskRenaming(of: "a", by: [Self.rule("a.*", "*"), Self.rule("b.*", "*")])
        let new = renaming.newNames(of: ["a.x", "b.x", "a.y", "b.y", "z"], .tensor)
        #expect(new == ["a.x": "x", "a.y": "y", "z": "z"])
        #expect(
            renaming.problems.map(\.message) == [
                "\"rename\" of task \"a\" gives 2 tensors the name \"x\": \"a.x\", \"b.x\", and likewise 1 more. Narrow the "
                    + "pattern, so that each has a name of its own."
            ])
    }

    @Test func `names that the base lacks are one problem of each kind, with the entry that would do`() throws {
        let found = try findings(rename: "{\"fc2*\": \"fx*\"}") { $0 }
        #expect(
            found.problems == [
                "job.yaml:4:45: \"rename\" of task \"a\" gives 1 of its layers names that the base lacks: \"fc2\" becomes "
                    + "\"fx\". Correct the entries, or leave these names out (\"!\" before a pattern of \"layers\", or "
                    + "\"ignore\" for tensors).",
                "job.yaml:4:45: \"rename\" of task \"a\" gives 1 of its tensors names that the base lacks: \"fc2.weight\" "
                    + "becomes \"fx.weight\". The checkpoint then lacks 1 of the base's tensors: \"fc2.weight\". Correct the "
                    + "entries, or leave these names out (\"!\" before a pattern of \"layers\", or \"ignore\" for tensors).",
            ])
        let left = try findings(
            rename: "{\"fc2*\": \"fx*\"}", rest: ["ignore: [fx.*, fc2.*]", "kfac: {layers: [\"!fx\"]}"]
        ) { $0 }
        #expect(left.problems == [])
    }

    // MARK: - Proposals

    private static let base =
        ["embed.weight", "head.weight"]
        + (0..<30).flatMap { ["layers.\($0).attn.q.weight", "layers.\($0).mlp.weight"] }

    /// The proposal for a change of all names, after it was applied and gave the base's names.
    private func proposal(keeping kept: [String] = [], _ change: (String) -> String) throws -> String? {
        let found = Self.base.map(change)
        let mapping = try #require(NameMapping(from: Self.base, to: found))
        guard let entries = mapping.renameEntries(keeping: kept) else { return nil }
        var renaming = TaskRenaming(of: "a", by: entries.map { Self.rule($0.from, $0.to) })
        #expect(renaming.newNames(of: found + kept, .tensor).values.sorted() == (Self.base + kept).sorted())
        return mapping.proposal(keeping: kept)
    }

    @Test func `the proposed entries give the base's names`() throws {
        #expect(try proposal { "module." + $0 } == "rename: {\"module.*\": \"*\"}")
        #expect(try proposal { "base_model.model." + $0 } == "rename: {\"base_model.model.*\": \"*\"}")
        #expect(
            try proposal { $0.split(separator: ".").dropLast().joined(separator: ".") + "._fsdp_wrapped_module.weight" }
                == "rename: {\"*._fsdp_wrapped_module.*\": \"*.*\"}")
        #expect(
            try proposal { name in
                let parts = name.split(separator: ".")
                return "_f."
                    + (parts[0] == "layers" ? "layers.\(parts[1])._f." + parts[2...].joined(separator: ".") : name)
            } == "rename: {\"_f.*\": \"*\", \"*._f.*\": \"*.*\"}")
        #expect(
            try proposal { $0.hasSuffix(".weight") ? $0.dropLast(6) + "w" : $0 } == "rename: {\"*.w\": \"*.weight\"}")
    }

    @Test func `names without the base's beginning get it, and names that fit are not touched`() throws {
        let base = (0..<20).flatMap { ["model.layers.\($0).w", "model.norms.\($0).w"] }
        let found = base.map { String($0.dropFirst("model.".count)) }
        let mapping = try #require(NameMapping(from: base, to: found))
        #expect(mapping.proposal(keeping: []) == "rename: {\"*\": \"model.*\"}")
        #expect(
            mapping.proposal(keeping: ["lm_head.weight"])
                == "rename: {\"layers.*\": \"model.layers.*\", \"norms.*\": \"model.norms.*\"}")
        #expect(mapping.proposal(keeping: ["layers.99.x", "norms.99.x"]) == nil)
    }

    @Test func `a doubled beginning is removed only where it is doubled`() throws {
        let base = (0..<20).map { "model.layers.\($0).w" }
        let mapping = try #require(NameMapping(from: base, to: base.map { "model." + $0 }))
        #expect(mapping.proposal(keeping: ["model.embed"]) == "rename: {\"model.model.*\": \"model.*\"}")
    }

    @Test func `modules that are missing between are put back`() throws {
        let base = (0..<20).map { "vision.tower.layers.\($0).w" }
        let mapping = try #require(NameMapping(from: base, to: base.map { $0.replacing(".tower.", with: ".") }))
        #expect(mapping.proposal(keeping: []) == "rename: {\"vision.*\": \"vision.tower.*\"}")
    }
}
