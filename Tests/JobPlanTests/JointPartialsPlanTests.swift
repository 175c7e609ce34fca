import Identifiers
import KroneckerFactors
import LinearAlgebra
import Testing
import UnitOperations

@testable import JobPlan

/// Partial sums with joint rows, under the form `pseudo_rows`.
@Suite struct JointPartialsPlanTests {
    private func inventory(_ parts: [(rank: Int, samples: Int)]) throws -> (JobSpec, JobInventory) {
        let text = JobFileText(
            models: ["- {name: a, factors: p}", "- {name: b, captures: b}"],
            rest: [
                "kfac: {normalization: expand, regularizer: {form: pseudo_rows, ranks: {inputs: 6, gradients: 8}, "
                    + "targets: [b]}}",
                "outputs: [factors, regularizer]",
            ])
        let spec = try text.spec()
        var model = SmallModel()
        model.positions = 3
        var inventory = model.inventory(for: spec)
        let set = try #require(inventory.factorSets["a"])
        inventory.factorSets["a"] = nil
        let samples = parts.reduce(0) { $0 + $1.samples }
        var partials = PartialsInventory(
            normalization: .expand, probes: 2, hasBias: ["fc1": true, "fc2": false],
            counts: [
                "fc1": .init(rows: 3 * samples, samples: samples), "fc2": .init(rows: 3 * samples, samples: samples),
                "norm.weight": .init(rows: 0, samples: samples),
            ],
            sums: set.factors.mapValues { factor in
                .init(
                    shape: factor.shape, elementType: .f64,
                    slices: parts.map { _ in
                        let order = factor.shape.dimension
                        return FileSlice(file: 1, offset: 8, byteCount: UInt64(4 * order * (order + 1)))
                    })
            })
        partials.jointParts = parts.map {
            .init(tensors: FinishedJointRowsTests.joint($0.rank, positions: 3), samples: $0.samples)
        }
        inventory.partials["a"] = partials
        return (spec, inventory)
    }

    @Test func `the rows of several files are imported together, and compressed to the job's ranks`() throws {
        let (spec, inventory) = try inventory([(4, 10), (2, 30)])
        #expect(spec.problems(against: inventory).map(\.description) == [])
        let plan = try JobPlan(spec: spec, inventory: inventory)
        let imports = plan.units.compactMap { $0.operation as? ImportJointRowsOperation }
        #expect(imports.count == 6)
        #expect(imports.allSatisfy { $0.parts.map(\.share) == [0.25, 0.75] })
        #expect(imports.map(\.rank) == [6, 6, 8, 8, 8, 6])
        let vectors = plan.units.compactMap { $0.operation as? JointEigenvectorsOperation }.prefix(2)
        #expect(vectors.map(\.rows) == [6, 8] && vectors.map(\.rank) == [6, 8])
        #expect(vectors.map(\.constant) == [.parts([.init(rows: 6, scale: 1)]), nil])
        let tensors = plan.jointTensors(of: .task("a"))
        #expect(
            tensors.filter { $0.name.hasSuffix("rows") }.map { "\($0.name) \($0.shape)" } == [
                "fc1.input_rows [6, 3, 5]", "fc1.gradient_rows [8, 3, 3]", "fc2.input_rows [6, 3, 3]",
                "fc2.gradient_rows [8, 3, 2]", "norm.weight.gradient_rows [8, 4]", "input_rows [6]",
            ])
        let grams = plan.units.compactMap { $0.operation as? RowGramOperation }.filter { $0.weightListCount <= 1 }
        #expect(grams.contains { $0.rows.source == .parts([.init(rows: 6, scale: 1)]) })
    }

    @Test func `the rows of one file are the task's own`() throws {
        let (spec, inventory) = try inventory([(9, 10)])
        let plan = try JobPlan(spec: spec, inventory: inventory)
        let imports = plan.units.compactMap { $0.operation as? ImportJointRowsOperation }
        #expect(imports.map(\.rank) == [9, 9, 10, 10, 10, 9] && imports.allSatisfy { $0.parts[0].share == 1 })
        #expect(plan.jointTensors(of: .task("a")).first?.shape == [9, 3, 5])
        let rows = try #require(plan.inventory.givenJointRows(of: "a"))
        #expect(rows.kept?.inputs == 0.5 && rows.kept?.gradients == 0.25)
    }

    @Test func `all files together have at most as many rows as a Gram matrix may have`() throws {
        let (spec, inventory) = try inventory([(4096, 5000), (4095, 5000)])
        #expect(
            spec.problems(against: inventory).map(\.description) == [
                "partial sums of task \"a\": 2 files have 8193 joint rows of gradients, whose Gram matrix is decomposed whole; "
                    + "expected at most 8192. Collect fewer joint rows in each file, or write fewer files."
            ])
    }

    @Test func `partial sums without joint rows are refused by the task's name`() throws {
        var (spec, inventory) = try inventory([(4, 10), (2, 30)])
        inventory.partials["a"]?.jointParts = []
        let problems = spec.problems(against: inventory).map(\.description)
        #expect(problems.count == 1 && problems[0].contains("the \"factors\" of task \"a\" have none"), "\(problems)")
        (spec, inventory) = try self.inventory([(4, 10), (2, 30)])
        inventory.partials["a"]?.jointParts[1].tensors.constant = nil
        let missing = spec.problems(against: inventory).map(\.description)
        #expect(
            missing.first?.hasPrefix("partial sums of task \"a\": \"input_rows\" is missing") == true, "\(missing)")
    }
}
