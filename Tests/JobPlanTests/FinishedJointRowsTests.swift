import Identifiers
import KroneckerFactors
import LinearAlgebra
import Testing
import UnitOperations

@testable import JobPlan

/// Finished factors with joint rows, under the form `pseudo_rows`.
@Suite struct FinishedJointRowsTests {
    private static let models = ["- {name: a, factors: a}", "- {name: b, captures: b}"]

    private func found(_ settings: String = "", _ change: (inout JobInventory) -> Void) throws -> [String] {
        let text = JobFileText(
            models: Self.models,
            rest: [
                "kfac: {normalization: expand, \(settings)regularizer: {form: pseudo_rows}}", "outputs: [regularizer]",
            ])
        let spec = try text.spec()
        var model = SmallModel()
        model.positions = 3
        var inventory = model.inventory(for: spec)
        inventory.factorSets["a"]?.normalization = .expand
        inventory.factorSets["a"]?.jointRows = Self.joint(4, positions: 3)
        change(&inventory)
        return spec.problems(against: inventory).map(\.description)
    }

    static func joint(_ rank: Int, positions: Int) -> JointRowTensors {
        var joint = JointRowTensors()
        func tensor(_ shape: [Int]) -> JointRowTensors.Tensor {
            .init(shape: shape, slice: FileSlice(file: 1, offset: 0, byteCount: UInt64(4 * shape.reduce(1, *))))
        }
        for (layer, inputs, outputs) in [("fc1", 5, 3), ("fc2", 3, 2)] {
            joint.rows[FactorName(owner: layer, side: .input)] = tensor([rank, positions, inputs])
            joint.rows[FactorName(owner: layer, side: .gradient)] = tensor([rank + 1, positions, outputs])
            for side in [FactorSide.input, .gradient] {
                joint.squares[FactorName(owner: layer, side: side)] = tensor([positions])
            }
        }
        joint.rows[FactorName(owner: "norm.weight", side: .full)] = tensor([rank + 1, 4])
        joint.squares[FactorName(owner: "norm.weight", side: .full)] = tensor([1])
        joint.constant = tensor([rank])
        joint.constantSquares = tensor([1])
        joint.kept = [0.5, 0.25]
        return joint
    }

    private func problems(withJoint change: (inout JointRowTensors) -> Void) throws -> [String] {
        try found { inventory in
            var joint = Self.joint(4, positions: 3)
            change(&joint)
            inventory.factorSets["a"]?.jointRows = joint
        }
    }

    @Test func `joint rows of finished factors have the shapes of their layers`() throws {
        #expect(try problems { _ in } == [])
        let name = FactorName(owner: "fc2", side: .gradient)
        let remedy = "Make the factors again from the rows."
        #expect(
            try problems { $0.rows[name] = nil } == [
                "factors of task \"a\": \"fc2.gradient_rows\" is missing; expected the shape [rows, positions, 2]. \(remedy)"
            ])
        #expect(
            try problems { $0.rows[name]?.shape = [5, 2] } == [
                "factors of task \"a\": \"fc2.gradient_rows\" has the shape [5, 2]; expected the shape [rows, positions, 2] "
                    + "with 1 to 8192 rows. \(remedy)"
            ])
        #expect(
            try problems { $0.squares[name] = nil } == [
                "factors of task \"a\": \"fc2.gradient_squares\" is missing; expected the shape [3]. \(remedy)"
            ])
        #expect(
            try problems { $0.squares[name]?.shape = [4] } == [
                "factors of task \"a\": \"fc2.gradient_squares\" has the shape [4]; expected [3], one for each position. "
                    + remedy
            ])
        #expect(
            try problems { $0.rows[name]?.shape = [6, 3, 2] } == [
                "factors of task \"a\": \"fc2.gradient_rows\" has 6 rows, but other layers have 5; expected one number. "
                    + remedy
            ])
        #expect(
            try problems { $0 = Self.joint(4, positions: 2) }.first
                == "captures of task \"b\": layer \"fc1\" has 3 rows for each sample, but 2 in task \"a\"; \"pseudo_rows\" "
                + "needs equally many in all tasks. Capture them alike, or leave the layer out with \"layers\".")
    }

    @Test func `parameters outside layers need the constant's rows, and its square`() throws {
        let remedy = "The parameters outside layers meet the constant. Make the factors again from the rows."
        #expect(
            try problems { $0.constant = nil } == [
                "factors of task \"a\": \"input_rows\" is missing; expected the shape [4]. \(remedy)"
            ])
        #expect(
            try problems { $0.constant?.shape = [3] } == [
                "factors of task \"a\": \"input_rows\" has the shape [3]; expected the shape [4]. \(remedy)"
            ])
        #expect(
            try problems { $0.constantSquares = nil } == [
                "factors of task \"a\": \"input_squares\" is missing; expected the shape [1]. \(remedy)"
            ])
        #expect(
            try problems { $0.constantSquares?.shape = [2] } == [
                "factors of task \"a\": \"input_squares\" has the shape [2]; expected the shape [1]. \(remedy)"
            ])
    }

    @Test func `a model without layers needs the constant's square too`() {
        let block = CurvatureBlock(name: "norm.weight", kind: .full(dimension: 4), regions: [])
        var joint = Self.joint(4, positions: 3)
        #expect(joint.constantProblem([block]) == nil)
        joint.constantSquares = nil
        #expect(joint.constantProblem([block])?.hasPrefix("\"input_squares\" is missing;") == true)
        joint.constant?.shape = [4, 1]
        #expect(
            joint.constantProblem([block])?.hasPrefix(
                "\"input_rows\" has the shape [4, 1]; expected the shape [rows].") == true)
    }

    @Test func `tasks without rows of a layer are refused, captured or finished`() throws {
        func messages(_ change: (inout JobInventory) -> Void) throws -> [String] {
            try found("missing_curvature: renormalize, ", change).map { String($0.drop { $0 != " " }.dropFirst()) }
        }
        #expect(try messages { _ in } == [])
        // Its factors and joint rows are there all the same.
        let contradicted = try messages { $0.factorSets["a"]?.rows["fc1"] = 0 }
        #expect(
            contradicted.contains(
                "task \"a\" has no rows of \"fc1\", so no joint rows. Leave them out with \"layers\", or make the factors "
                    + "again from more samples."), "\(contradicted)")
        #expect(
            try messages { inventory in
                inventory.factorSets["a"]?.rows["fc1"] = 0
                for side in [FactorSide.input, .gradient] {
                    let name = FactorName(owner: "fc1", side: side)
                    inventory.factorSets["a"]?.factors[name] = nil
                    inventory.factorSets["a"]?.jointRows?.rows[name] = nil
                    inventory.factorSets["a"]?.jointRows?.squares[name] = nil
                }
            } == [
                "task \"a\" has no rows of \"fc1\", so no joint rows. Leave them out with \"layers\", or make the factors "
                    + "again from more samples."
            ])
        #expect(
            try messages { inventory in
                inventory.captures["b"]?.layers["fc1"] = nil
                inventory.captures["b"]?.emptyBlocks["fc1"] = .init()
            } == [
                "task \"b\" has no rows of \"fc1\", so no joint rows. Leave them out with \"layers\", or capture more samples."
            ])
    }

    @Test func `pooled positions are joined with those of the same codebook and layers alone`() throws {
        let remedy = "Collect all tasks with one codebook, and the same layers."
        func messages(_ ofOther: (inout JointRowTensors) -> Void) throws -> [String] {
            try found { inventory in
                inventory.captures["b"] = nil
                inventory.factorSets["a"]?.jointRows?.codebook = "c0de"
                inventory.factorSets["a"]?.jointRows?.pooledRows = ["fc1": 4.5, "fc2": 4.5]
                var other = inventory.factorSets["a"]
                other?.jointRows.map { joint in
                    var joint = joint
                    ofOther(&joint)
                    other?.jointRows = joint
                }
                inventory.factorSets["b"] = other
            }.map { String($0.drop { $0 != " " }.dropFirst()) }
        }
        #expect(try messages { _ in } == [])
        #expect(try messages { $0.pooledRows = ["fc1": 9, "fc2": 9] } == [])
        #expect(
            try messages { $0.codebook = "0ther" } == [
                "the positions of task \"b\" are pooled by the codebook \"0ther\", and those of task \"a\" pooled by the "
                    + "codebook \"c0de\", so their joint rows cannot be joined. \(remedy)"
            ])
        #expect(
            try messages {
                $0.codebook = nil
                $0.pooledRows = [:]
            } == [
                "the positions of task \"b\" are not pooled, and those of task \"a\" pooled by the codebook \"c0de\", so "
                    + "their joint rows cannot be joined. \(remedy)"
            ])
        #expect(
            try messages { $0.pooledRows["fc2"] = nil } == [
                "the positions of \"fc2\" are pooled in one of the tasks \"a\" and \"b\" alone, so their joint rows cannot "
                    + "be joined. \(remedy)"
            ])
    }

    @Test func `compressed factors with joint rows are refused`() throws {
        let problems = try found { inventory in
            inventory.factorSets["a"]?.factors[FactorName(owner: "fc2", side: .gradient)]?.compression = Compression(
                form: .bf16, shift: 0)
        }
        #expect(
            problems == [
                "factors of task \"a\": the factor \"fc2.B\" is compressed, but \"pseudo_rows\" subtracts what the rows hold "
                    + "from exact factors. Give the exact factors."
            ])
    }

    @Test func `finished factors without joint rows are refused`() throws {
        let problems = try found { $0.factorSets["a"]?.jointRows = nil }
        #expect(
            problems.map { String($0.drop { $0 != " " }.dropFirst()) } == [
                "the form \"pseudo_rows\" is made of captured rows, or of the joint rows of factors and partial sums, but the "
                    + "\"factors\" of task \"a\" have none. Make them with joint rows, give its \"captures\", or choose the "
                    + "form \"accumulated\"."
            ], "\(problems)")
    }
}
