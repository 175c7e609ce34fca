import LinearAlgebra
import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

struct PseudoRowsTests {
    private let joint: JointModel
    /// Any ranks above the number of rows keep all rows.
    private static let full = (1000, 1000)

    init() throws { joint = try JointModel() }

    private func form(
        _ rows: TaskRows, _ ranks: (Int, Int) = Self.full, floor: PseudoRows.Floor = .none,
        weights: JointWeights? = nil
    ) throws -> PseudoRows {
        let settings = PseudoRows.Settings(
            inputRank: ranks.0, gradientRank: ranks.1, floor: floor, weights: weights ?? JointWeights(rows))
        return try PseudoRows(rows, settings: settings)
    }

    /// Forms of three tasks with common weights.
    private func forms(_ ranks: (Int, Int) = Self.full, floor: PseudoRows.Floor) async throws -> [PseudoRows] {
        var rows: [TaskRows] = []
        for samples in [[0, 1], [2, 3, 4], [5, 6, 7]] { rows.append(await joint.rows(samples)) }
        let weights = JointWeights(mean: rows.map { JointWeights($0) })
        return try rows.map { try form($0, ranks, floor: floor, weights: weights) }
    }

    // MARK: - What the rows stand for

    @Test func `with all rows of one sample the form is the exact joint Gauss-Newton form ‖J τ‖²`() async throws {
        for sample in 0..<3 {
            let found = try form(await joint.rows([sample]))
            #expect(found.rows.inputCount == 1 && found.rows.gradientCount == 6)
            for seed in 1...3 as ClosedRange<UInt64> {
                let vector = joint.vector(seed: seed)
                expectClose(found.value(at: vector), joint.exact([sample], vector), relative: 1e-5)
            }
        }
    }

    @Test
    func `with all rows of several samples it is the mean over pairs of a sample's inputs and another's gradients`()
        async throws
    {
        let found = try form(await joint.rows([0, 2, 5]))
        for seed in 1...3 as ClosedRange<UInt64> {
            let vector = joint.vector(seed: seed)
            expectClose(found.value(at: vector), joint.pairs([0, 2, 5], vector), relative: 1e-5)
        }
    }

    @Test func `fewer rows never raise the value, and more rows approach it`() async throws {
        let rows = await joint.rows(Array(0..<8))
        let vector = joint.vector(seed: 4)
        let values = try [(1, 2), (2, 6), (4, 16), (8, 48)].map { try form(rows, $0).value(at: vector) }
        let whole = joint.pairs(Array(0..<8), vector)
        #expect(zip(values, values.dropFirst()).allSatisfy { $0 <= $1 * (1 + 1e-5) })
        expectClose(values[3], whole, relative: 1e-5)
        #expect(values[0] < 0.999 * whole)
    }

    @Test func `the number of threads changes no bit`() async throws {
        let other = PassTeam(joint.layout, laneCount: 1)
        let settings = CaptureSettings(probes: .sampled(2), seed: 4)
        let samples = Array(0..<8) + Array(0..<8) + Array(0..<8)
        let one = await TaskRows(
            "a", tokens: joint.tokens, samples: samples, base: joint.model.base, team: other, settings: settings)
        let two = await joint.rows(samples, settings)
        #expect(one.rows.inputs == two.rows.inputs)
        #expect(one.rows.gradients == two.rows.gradients)
    }

    // MARK: - Gradients

    @Test(arguments: [PseudoRows.Floor.none, .factors(0.5), .complement])
    func `the gradient agrees with differences of the value and is added with its scale`(
        floor: PseudoRows.Floor
    ) async throws {
        let penalty = try form(await joint.rows([0, 1, 2, 3]), (2, 5), floor: floor)
        let vector = joint.vector(seed: 9)
        var gradient = [Float](repeating: 5, count: joint.layout.count)
        var scratch = PenaltyScratch()
        _ = penalty.addGradient(at: vector, scale: 0.5, to: &gradient, scratch: &scratch)
        // Ω(τ + u) − Ω(τ − u) = 2 uᵀ ∇Ω(τ) for every u, because Ω is quadratic.
        for seed in 20...24 as ClosedRange<UInt64> {
            let direction = joint.vector(seed: seed)
            let along = zip(direction, gradient).reduce(0.0) { $0 + Double($1.0) * (Double($1.1) - 5) }
            let (up, down) = (zip(vector, direction).map(+), zip(vector, direction).map(-))
            let difference = penalty.value(at: up) - penalty.value(at: down)
            let size = penalty.value(at: up) + penalty.value(at: down)
            expectClose(along, 0.25 * difference, absolute: 1e-4 * size)
        }
        let places = Array(stride(from: 0, to: joint.layout.count, by: 29)) + joint.layout.entries.map(\.offset)
        let expected = places.map { place in
            var (up, down) = (vector, vector)
            up[place] += 4
            down[place] -= 4
            return 5 + 0.5 * (penalty.value(at: up) - penalty.value(at: down)) / 8
        }
        let size = penalty.value(at: vector)
        expectClose(places.map { gradient[$0] }, expected, relative: 1e-3, absolute: 1e-4 * (1 + size))
    }

    @Test func `scratch buffers that held other numbers change nothing`() async throws {
        let penalty = try form(await joint.rows([0, 1]), floor: .complement)
        var scratch = PenaltyScratch()
        var used = [Float](repeating: 0, count: joint.layout.count)
        _ = penalty.addGradient(at: joint.vector(seed: 3), scale: 1, to: &used, scratch: &scratch)
        for index in used.indices { used[index] = 0 }
        let vector = joint.vector(seed: 2)
        _ = penalty.addGradient(at: vector, scale: 1, to: &used, scratch: &scratch)
        #expect(used == penalty.gradient(at: vector))
    }

    // MARK: - The floor

    @Test func `all rows leave no complement, few rows at most K-FAC, and a share is added whole`() async throws {
        let rows = await joint.rows([0, 1, 2])
        let factors = KroneckerForm(rows, settings: .init(oneDimensional: .sum))
        let full = try form(rows, floor: .complement)
        let alone = try form(rows)
        let vector = joint.vector(seed: 6)
        expectClose(full.value(at: vector), alone.value(at: vector), relative: 1e-4)
        let few = try form(rows, (1, 1), floor: .complement)
        let share = try form(rows, (1, 1), floor: .factors(0.5))
        let fewAlone = try form(rows, (1, 1))
        #expect(few.value(at: vector) <= fewAlone.value(at: vector) + factors.value(at: vector) * (1 + 1e-5))
        expectClose(
            share.value(at: vector), fewAlone.value(at: vector) + 0.5 * factors.value(at: vector), relative: 1e-5)
    }

    @Test(arguments: [PseudoRows.Floor.none, .factors(0.1), .complement])
    func `the form of several tasks is positive semi-definite`(floor: PseudoRows.Floor) async throws {
        let (least, largest) = try PseudoRows.accumulated(await forms((2, 4), floor: floor))
            .extremeEigenvalues(joint.layout)
        #expect(largest > 0)
        #expect(least >= -1e-6 * largest)
    }

    // MARK: - Several tasks

    @Test(arguments: [PseudoRows.Floor.none, .factors(0.5), .complement])
    func `tasks accumulated one after the other give what they give at once`(floor: PseudoRows.Floor) async throws {
        let forms = try await forms(floor: floor)
        let once = try PseudoRows.accumulated(forms)
        let sequence = try PseudoRows.accumulated([PseudoRows.accumulated(Array(forms[..<2])), forms[2]])
        #expect(once.taskCount == 3 && sequence.taskCount == 3)
        for seed in 1...3 as ClosedRange<UInt64> {
            let vector = joint.vector(seed: seed)
            expectClose(sequence.value(at: vector), once.value(at: vector), relative: 1e-5)
        }
    }

    @Test func `equal tasks give their number times one of them, as in equation 8`() async throws {
        let rows = await joint.rows([0, 1, 2])
        for floor in [PseudoRows.Floor.none, .factors(0.5), .complement] {
            let one = try form(rows, (2, 4), floor: floor)
            let three = try PseudoRows.accumulated([one, one, one])
            let vector = joint.vector(seed: 8)
            expectClose(three.value(at: vector), 3 * one.value(at: vector), relative: 1e-4)
        }
    }

    @Test func `the size does not grow with the number of tasks once the ranks are reached`() async throws {
        let forms = try await forms((2, 4), floor: .complement)
        let counts = try [1, 2, 3].map { try PseudoRows.accumulated(Array(forms[..<$0])).storedElementCount }
        #expect(Set(counts).count == 1)
        // Inputs: 3 layers of 9 and one of 17, with their bias's 1, at 5 positions; the projection's 8; the 1.
        // Gradients: 24 + 8 + 16 + 8 at 5 positions, 6 features, and 9 vectors of 8.
        let rows = 2 * (5 * (3 * 9 + 17) + 8 + 1) + 4 * (5 * 56 + 6 + 72)
        let factors = 3 * 81 + 289 + 64 + 24 * 24 + 64 + 256 + 64 + 36 + 9 * 64
        #expect(counts[0] == rows + factors)
    }

    @Test func `no task has no form`() {
        let expected = "the data holds one task only; this penalty needs others."
        #expect(message { () throws(LaboratoryError) in _ = try PseudoRows.accumulated([]) } == expected)
    }

    @Test func `rows that are not finite are refused`() async throws {
        var tokens = joint.tokens
        tokens[3] = .nan
        let rows = await TaskRows(
            "a", tokens: tokens, samples: [0, 1], base: joint.model.base, team: joint.team, settings: CaptureSettings())
        let found = message { () throws(LaboratoryError) in
            _ = try PseudoRows(
                rows, settings: .init(inputRank: 1, gradientRank: 1, floor: .none, weights: JointWeights(rows)))
        }
        #expect(
            found
                == "the rows of a joint form cannot be compressed: row 0 holds NaN or infinity; expected finite "
                + "values. Look for values in the base that are not finite.")
    }
}
