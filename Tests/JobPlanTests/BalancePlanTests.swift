import Identifiers
import KroneckerFactors
import LinearAlgebra
import Testing
import UnitOperations

@testable import JobPlan

/// The keys `balance` and `one_dimensional` of `kfac.regularizer`.
@Suite struct BalancePlanTests {
    private static let oneLayer = SmallModel(layers: [SmallModel.Layer(name: "fc")], parameters: [])
    private static let models = ["- {name: a, captures: a}", "- {name: b, captures: b}"]

    private func problems(_ regularizer: String, _ change: (inout JobInventory) -> Void = { _ in }) throws -> [String] {
        let spec = try JobFileText(
            models: ["- {name: a, factors: a}", "- {name: b, captures: b}"],
            rest: ["kfac: {regularizer: \(regularizer)}", "outputs: [regularizer]"]
        ).spec()
        var inventory = SmallModel().inventory(for: spec)
        change(&inventory)
        return spec.problems(against: inventory).map(\.description)
    }

    @Test(arguments: [
        (
            "balance: traces",
            "job.yaml:6:31: \"balance\" must be one of none, trace, not \"traces\". Did you mean \"trace\"?"
        ),
        (
            "one_dimensional: means",
            "job.yaml:6:39: \"one_dimensional\" must be one of mean, sum, not \"means\". Did you mean \"mean\"?"
        ),
    ])
    func `a word that is not known is refused`(written: String, problem: String) {
        let text = JobFileText(rest: ["kfac: {regularizer: {\(written)}}"])
        #expect(JobPlanTests.problems(in: text.yaml) == [problem])
    }

    @Test func `sums read the balanced B, and a factor's file the B of the rows`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: Self.models,
                rest: ["kfac: {regularizer: {targets: all, balance: trace}}", "outputs: [factors, regularizer]"]),
            model: Self.oneLayer)
        #expect(
            plan.lines == [
                "0 worker: factor \"fc.A\" of task \"a\"", "1 worker: factor \"fc.B\" of task \"a\"",
                "2 worker: exact trace of \"fc\" of task \"a\"",
                "3 worker: balance of \"fc\" of task \"a\" <- 0 1 2",
                "4 worker: factor \"fc.A\" of task \"b\"", "5 worker: factor \"fc.B\" of task \"b\"",
                "6 worker: exact trace of \"fc\" of task \"b\"",
                "7 worker: balance of \"fc\" of task \"b\" <- 4 5 6",
                "8 worker: sums of factor \"fc.A\" over 2 tasks <- 0 4",
                "9 worker: sums of factor \"fc.B\" over 2 tasks <- 3 7",
                "10 coordinator: factor file of task \"a\" <- 0 1 3",
                "11 coordinator: factor file of task \"b\" <- 4 5 7",
                "12 coordinator: regularizer file of target \"all\" <- 8 9",
                "13 coordinator: publication of the outputs <- 0 1 2 3 4 5 6 7 8 9 10 11 12",
            ])
        #expect(plan.blobs(readBy: plan.units[10]) == [UnitOutput(UnitIndex(0)), UnitOutput(UnitIndex(1))])
    }

    @Test(arguments: ["kfac", "kfac_exact", "fisher"]) func `merges read the balanced B`(method: String) throws {
        func operations(_ balance: String) throws -> [[Int]] {
            let plan = try JobPlan.small(
                JobFileText(
                    method: method, models: ["- {model: models/a, captures: a}", "- {model: models/b, captures: b}"],
                    rest: ["kfac: {regularizer: {balance: \(balance)}, interference: false}", "outputs: [merged]"]),
                model: Self.oneLayer)
            return plan.units.filter { $0.operation is MergeOperation && $0.subject == "fc" }
                .map { $0.inputs.map(\.unit.position) }
        }
        #expect(try operations("none") == [[0, 1, 2, 3]])
        #expect(try operations("trace") == [[0, 3, 4, 7]])
    }

    /// Without positions and numbers every row is a sample.
    @Test func `the borders of samples are those of the captures`() throws {
        let spec = try JobFileText(
            models: Self.models, rest: ["kfac: {regularizer: {balance: trace}}", "outputs: [regularizer]"]
        ).spec()
        var model = Self.oneLayer
        model.positions = 3
        var inventory = model.inventory(for: spec)
        inventory.captures["b"]?.layers["fc"]?.positions = nil
        let plan = try JobPlan(spec: spec, inventory: inventory)
        let operations = plan.units.compactMap { $0.operation as? ExactTraceOperation }
        #expect(operations.map(\.borders) == [.positions(3), .positions(1)])
        #expect(operations.map(\.divisor) == [20, 20])
        #expect(operations.map(\.chunkRows) == [30, 30])
        #expect(operations.allSatisfy { $0.appendsOnes && $0.probes == 2 })
    }

    @Test func `full blocks are summed with the coefficients of B, and share equally in merges`() throws {
        let job = JobFileText(
            method: "kfac",
            models: [
                "- {model: models/a, captures: a, curvature_weight: 3}",
                "- {model: models/b, captures: b, curvature_weight: 1}",
            ], rest: ["kfac: {regularizer: {one_dimensional: sum}}", "outputs: [regularizer, merged]"])
        let plan = try JobPlan.small(job)
        let sums = plan.units.compactMap { unit in (unit.operation as? AccumulateOperation).map { (unit.subject, $0) } }
        #expect(sums.filter { $0.1.side == .gradient }.map(\.0) == ["fc1.B", "fc2.B", "norm.weight.F"])
        let merges = plan.units.compactMap { unit in (unit.operation as? MergeOperation).map { (unit.subject, $0) } }
        #expect(merges.first { $0.0 == "norm.weight" }?.1.tasks.map(\.lambda) == [0.5, 0.5])
        #expect(merges.first { $0.0 == "fc1" }?.1.tasks.map(\.lambda) == [0.75, 0.25])
    }

    @Test func `a factor set without scalars is refused, and one with them is scaled by them`() throws {
        #expect(
            try problems("{balance: trace}") == [
                "factors of task \"a\" (a): the factor set states no \"balance\" of 2 of the 2 layers (\"fc1\", \"fc2\"), so "
                    + "\"balance: trace\" cannot scale them. Make the factors again from the rows, with \"regularizer: "
                    + "{balance: trace}\" under \"kfac\", or write \"balance: none\"."
            ])
        #expect(try problems("{balance: trace}") { $0.factorSets["a"]?.balances = ["fc1": 2, "fc2": 3] } == [])
    }

    @Test func `partial sums without exact traces are refused`() throws {
        let sums = PartialsInventory(
            normalization: .tak, probes: 2, hasBias: ["fc1": true, "fc2": false],
            counts: ["fc1": .init(rows: 10, samples: 10), "fc2": .init(rows: 10, samples: 10)],
            sums: [
                "fc1": (5, 3), "fc2": (3, 2),
            ].reduce(into: [:]) { sums, layer in
                for (side, dimension) in [(FactorSide.input, layer.value.0), (.gradient, layer.value.1)] {
                    let slice = FileSlice(file: 0, offset: 0, byteCount: UInt64(4 * dimension * (dimension + 1)))
                    sums[FactorName(owner: layer.key, side: side)] = .init(
                        shape: .full(dimension), elementType: .f64, slices: [slice])
                }
            })
        func found(_ traces: [String: Double]) throws -> [String] {
            try problems("{balance: trace}") { inventory in
                inventory.factorSets = [:]
                inventory.captures["b"]?.parameters = [:]
                inventory.partials["a"] = sums
                inventory.partials["a"]?.exactTraces = traces
            }
        }
        #expect(
            try found(["fc1": 1]) == [
                "factors of task \"a\" (a): the partial sums state no \"exact_trace\" of 1 of the 2 layers (\"fc2\"), so "
                    + "\"balance: trace\" cannot scale them. Sum the rows again, with a program that writes it, or write "
                    + "\"balance: none\"."
            ])
        #expect(try found(["fc1": 1, "fc2": 1]) == [])
    }

    @Test func `sums of full blocks need a form that sums`() throws {
        #expect(
            try problems("{form: per_task, one_dimensional: sum}") == [
                "job.yaml: \"one_dimensional: sum\" is about sums over tasks; the form \"per_task\" has none. Remove it, or "
                    + "choose the form \"accumulated\" or \"optimal\"."
            ])
    }
}
