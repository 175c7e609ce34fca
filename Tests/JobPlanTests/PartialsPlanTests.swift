import Identifiers
import KroneckerFactors
import LinearAlgebra
import Testing
import UnitOperations

@testable import JobPlan

/// Plans and checks of tasks that bring partial sums.
struct PartialsPlanTests {
    /// Partial sums of the model in three files, with 40 rows of 10 samples and 2 probes.
    private func partials(_ normalization: FactorNormalization = .tak) -> PartialsInventory {
        func sum(_ dimension: Int) -> PartialsInventory.Sum {
            let byteCount = UInt64(8 * dimension * (dimension + 1) / 2)
            return PartialsInventory.Sum(
                shape: .full(dimension), elementType: .f64,
                slices: [3, 2, 4].map { FileSlice(file: $0, offset: 8, byteCount: byteCount) })
        }
        return PartialsInventory(
            normalization: normalization, probes: 2, hasBias: ["fc1": true, "fc2": false],
            counts: [
                "fc1": .init(rows: 40, samples: 10), "fc2": .init(rows: 7, samples: 9),
                "norm.weight": .init(rows: 0, samples: 10),
            ],
            sums: [
                FactorName(owner: "fc1", side: .input): sum(5), FactorName(owner: "fc1", side: .gradient): sum(3),
                FactorName(owner: "fc2", side: .input): sum(3), FactorName(owner: "fc2", side: .gradient): sum(2),
                FactorName(owner: "norm.weight", side: .full): sum(4),
            ])
    }

    private func plan(
        _ kfac: String = "{normalization: tak}", limits: PlanLimits = PlanLimits(),
        _ change: (inout PartialsInventory) -> Void = { _ in }
    ) throws -> JobPlan {
        let text = JobFileText(
            models: ["- {name: a, factors: [p/0.safetensors, p/1.safetensors]}"],
            rest: ["kfac: \(kfac)", "outputs: [factors]"])
        let spec = try text.spec()
        var inventory = JobInventory(files: [.of("/base.safetensors", role: "base")], base: SmallModel().base)
        for file in 1...4 { inventory.files.append(.of("/p/\(file)", role: "partial sums of \"a\"")) }
        var partials = partials()
        change(&partials)
        inventory.partials["a"] = partials
        return try JobPlan(spec: spec, inventory: inventory, limits: limits)
    }

    private func sums(_ plan: JobPlan) -> [SumPartialsOperation] {
        plan.units.compactMap { $0.operation as? SumPartialsOperation }
    }

    @Test(
        arguments: [
            // fc1.A, fc1.B, fc2.A, fc2.B, norm.weight.F
            ("{normalization: tak}", [40, 80, 7, 14, 20]),
            ("{normalization: expand}", [40, 20, 7, 18, 20]),
            ("{normalization: reduce}", [10, 20, 9, 18, 20]),
            ("{normalization: tak, exact_probes: true}", [40, 40, 7, 7, 10]),
        ] as [(String, [Double])]
    )
    func `sums are divided by the counts of their layer`(kfac: String, divisors: [Double]) throws {
        let sums = sums(try plan(kfac))
        #expect(sums.map(\.divisor) == divisors)
        #expect(sums.map(\.dimension) == [5, 3, 3, 2, 4])
    }

    @Test func `a factor is one unit, which reads the files in the order of the sum`() throws {
        let plan = try plan()
        #expect(plan.lines.first == "0 worker: sum of the partials of factor \"fc1.A\" of task \"a\"")
        #expect(sums(plan)[0].slices.map(\.file) == [3, 2, 4])
        #expect(plan.products["fc1", .factor(.input, of: "a")] == UnitOutput(UnitIndex(0)))
        #expect(plan.inventory.samples(of: "a") == 10)
    }

    /// A triangle of dimension 5 has 120 bytes, and 30 000 multiply-adds take the time of 300 bytes.
    @Test func `a sum of many bytes is computed in parts, which are added in order`() throws {
        let plan = try plan(limits: PlanLimits(partMultiplyAdds: 30_000))
        #expect(
            plan.lines.prefix(3) == [
                "0 worker: sum of the partials of factor \"fc1.A\" of task \"a\", files from 0",
                "1 worker: sum of the partials of factor \"fc1.A\" of task \"a\", files from 2",
                "2 worker: sum of the parts of the sum of the partials of factor \"fc1.A\" of task \"a\" <- 0 1",
            ])
        #expect(sums(plan).prefix(2).map { $0.slices.map(\.file) } == [[3, 2], [4]])
        #expect(sums(plan).prefix(2).map(\.divisor) == [nil, nil])
        let combine = try #require(plan.units[2].operation as? CombineOperation)
        #expect((combine.partCount, combine.shape.dimension, combine.divisor) == (2, 5, 40))
    }

    /// A change to the partial sums, and the problem that it makes.
    struct Mismatch: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout PartialsInventory) -> Void
        let message: String

        static let all = [
            Mismatch(
                testDescription: "no bias", change: { $0.hasBias["fc1"] = false },
                message:
                    "the layer \"fc1\" was summed without a bias, but the base's has one; expected a column of ones, the "
                    + "last. Sum the rows again on this base."),
            Mismatch(
                testDescription: "a bias", change: { $0.hasBias["fc2"] = true },
                message: "the layer \"fc2\" was summed with a column of ones for a bias, but the base's has none. "
                    + "Sum the rows again on this base."),
            Mismatch(
                testDescription: "another dimension",
                change: { $0.sums[FactorName(owner: "fc2", side: .gradient)]?.shape = .full(9) },
                message: "the sum \"fc2.B\" is [9, 9]; the base's layer needs [2, 2]. Use what was made on this base."),
        ]
    }

    @Test(arguments: Mismatch.all) func `sums of another layer than the base's are named`(mismatch: Mismatch) throws {
        let refusal = #expect(throws: JobRefusal.self) { try plan("{normalization: tak}", mismatch.change) }
        #expect(refusal?.problems.map(\.description) == ["partial sums of task \"a\": \(mismatch.message)"])
    }

    @Test func `a layout that the sums state must fit the base`() throws {
        let refusal = #expect(throws: JobRefusal.self) {
            try plan("{normalization: tak}") { $0.layouts["fc1"] = .inOut }
        }
        let problem = try #require(refusal?.problems.first?.description)
        #expect(
            problem.hasPrefix("partial sums of task \"a\": the layout of \"fc1\" is in_out here, but "), "\(problem)")
    }

    @Test func `a layer of which no row was summed is refused by the task's name`() throws {
        func change(_ partials: inout PartialsInventory) {
            partials.counts["fc1"] = .init(rows: 0, samples: 10)
            partials.counts["norm.weight"] = .init(rows: 0, samples: 0)
        }
        let refusal = #expect(throws: JobRefusal.self) { try plan("{normalization: tak}", change) }
        #expect(refusal?.problems.count == 1)
        #expect(
            refusal?.problems.first?.description.contains(
                "task \"a\" has no rows of 2 of the 3 layers and parameters (\"fc1\", \"norm.weight\")") == true)
    }

    @Test func `a layer of which no task summed a row is named once`() throws {
        let plan = try plan("{missing_curvature: renormalize}") { $0.counts["fc1"] = .init(rows: 0, samples: 10) }
        #expect(plan.unreached == ["fc1"])
        #expect(plan.notices.map(\.message).filter { $0.contains("\"fc1\"") }.count == 1)
        #expect(sums(plan).count == 3)
    }
}
