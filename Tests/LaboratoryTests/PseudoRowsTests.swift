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
        _ rows: TaskRows, _ ranks: (Int, Int) = Self.full, floor: PseudoRows.Floor = .none
    ) throws -> PseudoRows {
        try PseudoRows(rows, settings: .init(inputRank: ranks.0, gradientRank: ranks.1, floor: floor))
    }

    /// Forms of three tasks.
    private func forms(_ ranks: (Int, Int) = Self.full, floor: PseudoRows.Floor) async throws -> [PseudoRows] {
        var forms: [PseudoRows] = []
        for samples in [[0, 1], [2, 3, 4], [5, 6, 7]] {
            forms.append(try form(await joint.rows(samples), ranks, floor: floor))
        }
        return forms
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

    @Test func `eight probes are eight rows of each sample, in the order of the probes, each an eighth`() async {
        let samples = Array(0..<5)
        let one = await joint.rows(samples, CaptureSettings(probes: .sampled(1), seed: 4)).rows
        let eight = await joint.rows(samples, CaptureSettings(probes: .sampled(8), seed: 4)).rows
        #expect(eight.inputCount == 5 && eight.gradientCount == 40)
        #expect(eight.inputs == one.inputs)
        for (few, many) in zip(one.gradients, eight.gradients) {
            #expect(many.count == 8 * few.count)
            expectClose(many[..<few.count].map { $0 * Float(8).squareRoot() }, few.map(Double.init), relative: 1e-6)
        }
        // No two probes are the same.
        let size = one.gradients[0].count
        #expect(Set((0..<8).map { eight.gradients[0][$0 * size] }).count == 8)
    }

    @Test func `more gradient rows than are decomposed whole keep what the leading eigenvectors keep`() async throws {
        let joint = try JointModel(samples: 136)
        let rows = await joint.rows(Array(0..<136), CaptureSettings(probes: .sampled(8), seed: 1))
        let weights = JointWeights(rows)
        let rank = 4
        #expect(rows.rows.gradientCount > LeadingEigenvectors.wholeDimension)
        let compressed = try rows.rows.compressed(inputRank: 8, gradientRank: rank, weights: weights)
        #expect(compressed.gradientCount == rank)
        // Xᵀ X is smaller than X Xᵀ and has the same eigenvalues but zeros.
        let whole = weighted(rows.rows, weights.gradientSquares)
        let width = whole.count / rows.rows.gradientCount
        let matrix = try Matrix<Double>(rows: rows.rows.gradientCount, columns: width, elements: whole)
        var square = try Matrix<Double>(rows: width, columns: width)
        try square.addProduct(matrix, .transposed, matrix)
        let values = Array(try SymmetricEigen(decomposing: square).values.reversed())
        let kept = weighted(compressed, weights.gradientSquares)
        let found = (0..<rank).map { row in kept[row * width..<(row + 1) * width].reduce(0) { $0 + $1 * $1 } }
        expectClose(found, Array(values[..<rank]), relative: 1e-3, absolute: 1e-5 * values[0])
        expectClose(found.reduce(0, +), values[..<rank].reduce(0, +), relative: 1e-5)
        // The rows that are left out are not nothing.
        #expect(found.reduce(0, +) < 0.999 * values.reduce(0, +))
    }

    /// The gradients, each times the root of its weight's square: one row after the other.
    private func weighted(_ rows: JointRows, _ squares: [[Float]]) -> [Double] {
        (0..<rows.gradientCount).flatMap { row in
            rows.layout.blocks.indices.flatMap { index in
                let block = rows.layout.blocks[index]
                let width = block.positions * block.outputWidth
                return (0..<width).map { place in
                    Double(rows.gradients[index][row * width + place])
                        * Double(squares[index][place / block.outputWidth]).squareRoot()
                }
            }
        }
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
        // Two weights for each of four layers at five positions, of the projection, and of the rest.
        let weights = 2 * (4 * 5 + 1 + 1)
        // Triangles: sides 9, 17 and 8 of A; 24, 8, 16, 8 and 6 of B; 8 of F.
        let factors = 3 * 45 + 153 + 36 + 300 + 36 + 136 + 36 + 21 + 9 * 36
        #expect(counts[0] == rows + weights + factors)
        let size = FormSize(joint.layout)
        #expect(size.factors == factors)
        #expect(size.rows(inputs: 2, gradients: 4) == rows + weights)
        #expect(size.diagonal == joint.layout.count)
    }

    @Test func `the large encoder is counted by its shapes`() {
        let size = FormSize.largeEncoder
        // 85.6 million weights and biases: without the embeddings of patches and positions.
        #expect(size.diagonal == 12 * (2304 * 769 + 768 * 769 + 3072 * 769 + 768 * 3073) + 512 * 768 + 53 * 768)
        let sides = 3 * 769 * 770 / 2 + 3073 * 3074 / 2 + 2304 * 2305 / 2 + 2 * 768 * 769 / 2 + 3072 * 3073 / 2
        #expect(size.factors == 12 * sides + 768 * 769 / 2 + 512 * 513 / 2 + 53 * 768 * 769 / 2)
        #expect(size.rows(inputs: 1, gradients: 0) - size.rows(inputs: 0, gradients: 0) == 600 * 5380 + 768 + 1)
        #expect(size.rows(inputs: 0, gradients: 1) - size.rows(inputs: 0, gradients: 0) == 600 * 6912 + 512 + 53 * 768)
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
                rows, settings: .init(inputRank: 1, gradientRank: 1, floor: .none))
        }
        #expect(
            found
                == "the rows of a joint form cannot be compressed: row 0 holds NaN or infinity; expected finite "
                + "values. Look for values in the base that are not finite.")
    }
}
