import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import TestSupport
import Testing
import UnitOperations

/// Chunks and parts of a factor, which are part of the result's definition.
@Suite struct FactorPlanTests {
    private func factors(
        _ model: SmallModel,
        rest: [String] = ["outputs: [factors]"],
        limits: PlanLimits = PlanLimits(),
        change: (inout JobInventory) -> Void = { _ in }
    ) throws -> (plan: JobPlan, factors: [FactorOperation], tensors: [String]) {
        let plan = try JobPlan.small(
            JobFileText(models: ["- {name: a, captures: a}"], rest: rest),
            model: model,
            limits: limits,
            change: change
        )
        let units = plan.units.filter { $0.operation is FactorOperation }
        return (plan, units.compactMap { $0.operation as? FactorOperation }, units.map(\.subject))
    }

    private func oneLayer(samples: Int, positions: Int = 1, probes: Int = 1, inputs: Int = 9) -> SmallModel {
        SmallModel(
            layers: [SmallModel.Layer(name: "fc", outputs: 3, inputs: inputs)],
            parameters: [],
            samples: samples,
            positions: positions,
            probes: probes
        )
    }

    @Test(arguments: [
        // N = 10, R = 4, M = 2: tak 1/(NR), 1/(NMR); expand 1/(NR), 1/(NM); reduce 1/N, 1/(NM); F always 1/(NM).
        ("tak", [40.0, 80, 20], [PositionReduction.none, .none, .none]),
        ("expand", [40, 20, 20], [.none, .none, .none]),
        ("reduce", [10, 20, 20], [.mean(positions: 4), .sum(positions: 4), .none]),
    ])
    func `divisors and reductions follow the normalization`(
        word: String,
        divisors: [Double],
        reductions: [PositionReduction]
    ) throws {
        let model = SmallModel(layers: [SmallModel.Layer(name: "fc")], positions: 4)
        let rest = ["kfac: {normalization: \(word)}", "outputs: [factors]"]
        let (_, factors, tensors) = try factors(model, rest: rest)
        #expect(factors.map(\.divisor) == divisors)
        #expect(factors.map(\.reduction) == reductions)
        #expect(factors.map(\.appendsOnes) == [true, false, false])
        #expect(factors.map(\.shape.dimension) == [5, 3, 4])
        #expect(factors.map(\.rows) == [40, 80, 20])
        #expect(tensors == ["fc.input", "fc.output_grad", "norm.weight.grad"])
    }

    @Test func `exact probes are summed, not averaged`() throws {
        let model = SmallModel(layers: [SmallModel.Layer(name: "fc")], positions: 4)
        let rest = ["kfac: {normalization: expand, exact_probes: true}", "outputs: [factors]"]
        #expect(try factors(model, rest: rest).factors.map(\.divisor) == [40, 10, 10])
    }

    @Test func `a factor of few rows is one chunk`() throws {
        #expect(try factors(oneLayer(samples: 100)).factors.map(\.chunkRows) == [100, 100])
        #expect(try factors(oneLayer(samples: 5000)).factors.map(\.chunkRows) == [4096, 4096])
    }

    @Test func `chunks hold whole samples when positions are reduced`() throws {
        let rest = ["kfac: {normalization: reduce}", "outputs: [factors]"]
        let limits = PlanLimits(chunkRows: 64, partMultiplyAdds: 1e18)
        let found = try factors(oneLayer(samples: 100, positions: 7), rest: rest, limits: limits).factors
        #expect(found.map(\.chunkRows) == [63, 63])
        let large = try factors(oneLayer(samples: 3, positions: 100), rest: rest, limits: limits).factors
        #expect(large.map(\.chunkRows) == [100, 100])
    }

    /// 10 × 10 × 1000 multiply-adds in parts of at most 25 000: four parts of four chunks of 64 rows.
    @Test func `a giant factor is computed in parts, which the coordinator adds in order`() throws {
        let limits = PlanLimits(chunkRows: 64, partMultiplyAdds: 25_000)
        let (plan, factors, _) = try factors(oneLayer(samples: 1000), limits: limits)
        #expect(
            plan.lines.prefix(6) == [
                "0 worker: factor \"fc.A\" of task \"a\", rows from 0",
                "1 worker: factor \"fc.A\" of task \"a\", rows from 256",
                "2 worker: factor \"fc.A\" of task \"a\", rows from 512",
                "3 worker: factor \"fc.A\" of task \"a\", rows from 768",
                "4 worker: sum of the parts of factor \"fc.A\" of task \"a\" <- 0 1 2 3",
                "5 worker: factor \"fc.B\" of task \"a\"",
            ]
        )
        #expect(factors.map { $0.rowSlices.map(\.firstRow) } == [[0], [256], [512], [768], [0]])
        #expect(factors.map(\.rows) == [256, 256, 256, 232, 1000])
        #expect(factors.map(\.divisor) == [nil, nil, nil, nil, 1000])
        let combine = try #require(plan.units[4].operation as? CombineOperation)
        #expect(combine.partCount == 4)
        #expect(plan.units[4].inputs == (0..<4).map { UnitOutput(UnitIndex($0)) })
        #expect(combine.shape == .full(10))
        #expect(combine.divisor == 1000)
        #expect(plan.products["fc", .factor(.input, of: "a")] == UnitOutput(UnitIndex(4)))
    }

    @Test func `a factor of one chunk cannot be divided`() throws {
        let limits = PlanLimits(chunkRows: 4096, partMultiplyAdds: 1)
        #expect(try factors(oneLayer(samples: 1000), limits: limits).factors.count == 2)
    }

    @Test func `a shared factor may be one that is computed in parts`() throws {
        var model = oneLayer(samples: 1000)
        model.layers.append(SmallModel.Layer(name: "gate", outputs: 3, inputs: 9))
        let limits = PlanLimits(chunkRows: 64, partMultiplyAdds: 25_000)
        let (plan, factors, _) = try factors(model, limits: limits) {
            $0.captures["a"]?.layers["gate"]?.sharedInput = "fc"
        }
        #expect(factors.count == 4 + 1 + 1)
        #expect(plan.products["gate", .factor(.input, of: "a")] == UnitOutput(UnitIndex(4)))
    }

    /// Random shapes, files and limits: every row must enter exactly one part, in order.
    @Test func `the parts of a factor cover its rows exactly once`() throws {
        try forEachSeed(in: 0..<400) { seed, random in
            let isReduced = Bool.random(using: &random)
            let positions = Int.random(in: 1...12, using: &random)
            let model = oneLayer(
                samples: Int.random(in: 1...300, using: &random),
                positions: positions,
                probes: Int.random(in: 1...3, using: &random),
                inputs: Int.random(in: 1...6, using: &random)
            )
            let limits = PlanLimits(
                chunkRows: Int.random(in: 1...200, using: &random),
                partMultiplyAdds: Double(Int.random(in: 10...20_000, using: &random))
            )
            let rest = ["kfac: {normalization: \(isReduced ? "reduce" : "tak")}", "outputs: [factors]"]
            let files = Int.random(in: 1...4, using: &random)
            let whole = SmallModel.split(model.captures(file: 1), among: files, positions: positions, &random)
            let (_, factors, tensors) = try factors(model, rest: rest, limits: limits) { $0.captures["a"] = whole }
            let layer = try #require(whole.layers["fc"])
            for rows in [layer.input, layer.outputGradient] {
                let parts = zip(factors, tensors).filter { $0.1 == rows.tensor }.map(\.0)
                check(parts, of: rows, group: isReduced ? positions : 1, seed)
            }
        }
    }

    private func check(_ parts: [FactorOperation], of rows: CapturedRows, group: Int, _ seed: UInt64) {
        #expect(parts.map(\.rows).reduce(0, +) == rows.rows, "SEED=\(seed)")
        var next = 0
        for part in parts {
            #expect(next.isMultiple(of: part.chunkRows), "SEED=\(seed)")
            #expect(part.chunkRows.isMultiple(of: group), "SEED=\(seed)")
            #expect(part.rows > 0, "SEED=\(seed)")
            next += part.rows
        }
        #expect(bytes(of: parts.flatMap(\.rowSlices), rows) == bytes(of: rows.slices, rows), "SEED=\(seed)")
    }

    /// The file and the first byte of each row.
    private func bytes(of slices: [RowSlice], _ rows: CapturedRows) -> [[UInt64]] {
        let rowBytes = UInt64(rows.columns * rows.rowType.byteCount)
        return slices.flatMap { slice in
            (0..<slice.rows).map { [UInt64(slice.slice.file), slice.slice.offset + UInt64($0) * rowBytes] }
        }
    }
}

extension SmallModel {
    /// The same rows, split at random samples among several files.
    fileprivate static func split(
        _ captures: CaptureInventory,
        among files: Int,
        positions: Int,
        _ random: inout SplitMix64
    ) -> CaptureInventory {
        var captures = captures
        for name in captures.layers.keys {
            captures.layers[name]?.input.cut(among: files, group: positions, &random)
            captures.layers[name]?.outputGradient.cut(among: files, group: positions, &random)
        }
        return captures
    }
}

extension CapturedRows {
    fileprivate mutating func cut(among files: Int, group: Int, _ random: inout SplitMix64) {
        let samples = rows / group
        let borders = ((1..<files).map { _ in Int.random(in: 0...samples, using: &random) } + [0, samples]).sorted()
        slices = zip(borders, borders.dropFirst()).enumerated().map { file, border in
            let rows = (border.1 - border.0) * group
            let slice = FileSlice(
                file: file,
                offset: UInt64.random(in: 8...10_000, using: &random),
                byteCount: UInt64(rows * columns * rowType.byteCount)
            )
            return RowSlice(slice: slice, rows: rows)
        }
    }
}

@Suite struct RowSliceTests {
    private let rows = CapturedRows(
        tensor: "fc.input",
        columns: 2,
        elementType: .bf16,
        slices: [
            RowSlice(slice: FileSlice(file: 0, offset: 100, byteCount: 40), rows: 10),
            RowSlice(slice: FileSlice(file: 1, offset: 500, byteCount: 20), rows: 5),
        ]
    )

    @Test func `a range within one file is cut at its ends`() {
        #expect(
            rows.slices(of: 2..<6) == [
                RowSlice(slice: FileSlice(file: 0, offset: 108, byteCount: 16), rows: 4, firstRow: 2)
            ]
        )
    }

    @Test func `a range over two files is cut at their border`() {
        #expect(
            rows.slices(of: 8..<12) == [
                RowSlice(slice: FileSlice(file: 0, offset: 132, byteCount: 8), rows: 2, firstRow: 8),
                RowSlice(slice: FileSlice(file: 1, offset: 500, byteCount: 8), rows: 2),
            ]
        )
    }

    @Test func `the whole range is the slices, and nothing is nothing`() {
        #expect(rows.slices(of: 0..<15) == rows.slices)
        #expect(rows.slices(of: 7..<7) == [])
        #expect(rows.slices(of: 15..<20) == [])
    }
}
