import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import Testing
import UnitOperations

/// A fault of all 150 layers of a task is one problem, whatever the fault.
@Suite struct SharedFaultTests {
    private static let names = (0..<150).map { "blocks.\($0).fc" }

    private var model: SmallModel {
        var model = SmallModel()
        model.layers = Self.names.map { SmallModel.Layer(name: $0) }
        model.parameters = Self.names.map { ("\($0).scale", 4) }
        return model
    }

    /// The problems of two tasks after each name of the second task was changed.
    private func problems(_ models: [String], _ change: (inout JobInventory, _ name: String) -> Void) throws -> [String]
    {
        let spec = try JobFileText(models: models, rest: ["outputs: [factors]"]).spec()
        var inventory = model.inventory(for: spec)
        for name in Self.names { change(&inventory, name) }
        return spec.problems(against: inventory).map(\.description)
    }

    private static let captured = ["- {name: a, captures: a}", "- {name: b, captures: b}"]
    private static let finished = ["- {name: a, captures: a}", "- {name: b, factors: b}"]

    private func expectOne(_ problems: [String], _ things: String, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(problems.count == 1, "\(problems.prefix(3))", sourceLocation: sourceLocation)
        #expect(
            problems.first?.contains("The same is true of 149 more \(things): \"blocks.") ?? false,
            "\(problems.first ?? "")", sourceLocation: sourceLocation)
    }

    @Test func `many missing layers are one problem`() throws {
        var model = SmallModel()
        model.layers = (0..<30).map { SmallModel.Layer(name: "blocks.\($0).fc") }
        let spec = try JobFileText(
            models: ["- {name: a, captures: a}", "- {name: b, captures: b}"], rest: ["outputs: [factors]"]
        ).spec()
        var inventory = model.inventory(for: spec)
        let captured = inventory.captures["b"]?.layers.filter { $0.key == "blocks.0.fc" }
        inventory.captures["b"]?.layers = captured ?? [:]
        let found = spec.problems(against: inventory).map(\.description)
        #expect(
            found == [
                "captures of task \"b\": the layer \"blocks.1.fc\", which other tasks have, is missing; every task of a sum "
                    + "needs it. Capture it, or leave it out with \"layers\". Did you mean \"blocks.0.fc\"? The same is "
                    + "true of 28 more layers: \"blocks.10.fc\", \"blocks.11.fc\" and 26 more."
            ])
    }

    @Test func `captured layers of another width`() throws {
        try expectOne(
            problems(Self.captured) { $0.captures["b"]?.layers[LayerName(rawValue: $1)]?.input.columns = 5 }, "tensors")
        try expectOne(
            problems(Self.captured) { $0.captures["b"]?.layers[LayerName(rawValue: $1)]?.outputGradient.columns = 5 },
            "tensors")
        try expectOne(
            problems(Self.captured) {
                $0.captures["b"]?.parameters[ParameterName(rawValue: "\($1).scale")]?.gradient.columns = 5
            }, "tensors")
    }

    @Test func `layers and parameters that one task lacks`() throws {
        try expectOne(
            problems(Self.captured) { $0.captures["b"]?.layers[LayerName(rawValue: $1)] = nil }, "layers")
        try expectOne(
            problems(Self.captured) { $0.captures["b"]?.parameters[ParameterName(rawValue: "\($1).scale")] = nil },
            "parameters")
    }

    @Test func `layers and parameters that the base lacks`() throws {
        // Names that differ in more than one way have no common prefix, which is a cause of its own.
        try expectOne(
            problems(Self.captured) { inventory, name in
                for task: TaskName in ["a", "b"] {
                    let layer = inventory.captures[task]?.layers[LayerName(rawValue: name)]
                    inventory.captures[task]?.layers[LayerName(rawValue: "blocks.\(name.hashValue)")] = layer
                }
            }, "layers of task \"a\"")
        try expectOne(
            problems(Self.captured) { inventory, name in
                for task: TaskName in ["a", "b"] {
                    let scale = inventory.captures[task]?.parameters[ParameterName(rawValue: "\(name).scale")]
                    inventory.captures[task]?.parameters[ParameterName(rawValue: "blocks.\(name.hashValue)")] = scale
                }
            }, "parameters of task \"a\"")
    }

    @Test func `layers that have no matrix in the base`() throws {
        try expectOne(problems(Self.captured) { $0.base = $0.base.with("\($1).weight", shape: [12]) }, "layers")
    }

    @Test func `layers without rows whose width is another`() throws {
        let found = try problems(Self.captured) {
            $0.captures["b"]?.layers[LayerName(rawValue: $1)] = nil
            $0.captures["b"]?.emptyBlocks[$1] = .init(inputs: 5, outputs: 3)
        }
        // The task has no rows of any layer, which is a problem too.
        expectOne(found.filter { $0.contains("they would have") }, "layers and parameters")
        #expect(found.count == 2, "\(found.prefix(3))")
    }

    @Test func `factors that are missing or of another shape`() throws {
        for side in [FactorSide.input, .gradient] {
            try expectOne(
                problems(Self.finished) {
                    $0.factorSets["b"]?.factors[FactorName(owner: $1, side: side)]?.shape = .full(9)
                }, "factors")
        }
        try expectOne(
            problems(Self.finished) {
                $0.factorSets["b"]?.factors[FactorName(owner: "\($1).scale", side: .full)] = nil
            }, "factors")
    }

    @Test func `two tasks with the same fault are two problems`() throws {
        let found = try problems(Self.captured) {
            $0.captures["a"]?.layers[LayerName(rawValue: $1)]?.input.columns = 5
            $0.captures["b"]?.layers[LayerName(rawValue: $1)]?.input.columns = 5
        }
        #expect(found.count == 2)
    }
}
