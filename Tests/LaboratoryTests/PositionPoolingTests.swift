import LinearAlgebra
import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

struct PositionPoolingTests {
    private let joint: JointModel
    /// Any ranks above the number of rows keep all rows.
    private static let full = (1000, 1000)

    init() throws { joint = try JointModel() }

    private func form(
        _ rows: TaskRows, _ codebook: PositionCodebook?, _ ranks: (Int, Int) = Self.full,
        floor: PseudoRows.Floor = .none
    ) throws -> PseudoRows {
        try PseudoRows(
            rows, settings: .init(inputRank: ranks.0, gradientRank: ranks.1, floor: floor), codebook: codebook)
    }

    @Test func `with a centroid for each position of a sample the form is that of all positions`() async throws {
        for sample in 0..<3 {
            let rows = await joint.rows([sample])
            let codebook = PositionCodebook(of: [rows], count: 4)
            #expect(codebook.bucketCount == 5)
            #expect(codebook.buckets(of: rows).map { Set($0) } == [[0, 1, 2, 3, 4]])
            let vector = joint.vector(seed: UInt64(sample))
            expectClose(try form(rows, codebook).value(at: vector), joint.exact([sample], vector), relative: 1e-5)
        }
    }

    /// The sum over pairs of samples and over features of (Σ_c (Σ_{p∈c} g)ᵀ Δ (Σ_{p∈c} a) / √(n_c m_c))², in fp64.
    private func pooledPairs(_ task: TaskRows, _ buckets: [[Int]], _ vector: [Float]) -> Double {
        let (rows, blocks) = (task.rows, task.rows.layout.blocks)
        var sum = 0.0
        for input in 0..<rows.inputCount {
            for gradient in 0..<rows.gradientCount {
                var drift = 0.0
                for (index, block) in blocks.enumerated() {
                    var delta = [Float](repeating: 0, count: block.outputWidth * block.inputWidth)
                    block.gather(from: vector, into: &delta)
                    for (left, right) in pairs(block, buckets[input], buckets[gradient % rows.inputCount]) {
                        let a = (input * block.positions + left.position) * block.inputWidth
                        let g = (gradient * block.positions + right.position) * block.outputWidth
                        var product = 0.0
                        for row in 0..<block.outputWidth {
                            for column in 0..<block.inputWidth {
                                product +=
                                    Double(rows.gradients[index][g + row]) * Double(rows.inputs[index][a + column])
                                    * Double(delta[row * block.inputWidth + column])
                            }
                        }
                        drift += product / (left.size * right.size).squareRoot()
                    }
                }
                sum += drift * drift
            }
        }
        return sum
    }

    private typealias Place = (position: Int, size: Double)

    /// The pairs of positions in one bucket, with the sizes of the bucket in both samples.
    private func pairs(_ block: JointLayout.Block, _ left: [Int], _ right: [Int]) -> [(Place, Place)] {
        guard block.positions > 1 else { return [((0, 1), (0, 1))] }
        return left.indices.flatMap { first in
            right.indices.filter { right[$0] == left[first] }.map { second in
                (
                    (first, Double(left.count { $0 == left[first] })),
                    (second, Double(right.count { $0 == right[second] }))
                )
            }
        }
    }

    @Test func `positions of a bucket are summed and divided by the root of their number`() async throws {
        let rows = await joint.rows([0, 2, 5])
        let codebook = PositionCodebook(of: [rows, await joint.rows([1, 3])], count: 2)
        let buckets = codebook.buckets(of: rows)
        #expect(
            buckets.allSatisfy { $0.count == 5 && $0[0] == 0 && $0.dropFirst().allSatisfy { [1, 2].contains($0) } })
        let pooled = try form(rows, codebook)
        for seed in 1...3 as ClosedRange<UInt64> {
            let vector = joint.vector(seed: seed)
            expectClose(pooled.value(at: vector), pooledPairs(rows, buckets, vector), relative: 1e-5)
        }
    }

    @Test(arguments: [PseudoRows.Floor.factors(0.1), .complement])
    func `the pooled form of several tasks is positive semi-definite and sees every direction`(
        floor: PseudoRows.Floor
    ) async throws {
        var tasks: [TaskRows] = []
        for samples in [[0, 1], [2, 3, 4], [5, 6, 7]] { tasks.append(await joint.rows(samples)) }
        let codebook = PositionCodebook(of: tasks, count: 2)
        let forms = try tasks.map { try form($0, codebook, (2, 4), floor: floor) }
        let sum = try PseudoRows.accumulated(forms)
        let (least, largest) = try sum.extremeEigenvalues(joint.layout)
        #expect(largest > 0)
        #expect(least >= -1e-6 * largest)
        // Two buckets and the class token, where there were five positions.
        let rows = 2 * (3 * (3 * 9 + 17) + 8 + 1) + 4 * (3 * 56 + 6 + 72) + 2 * (4 * 3 + 1 + 1)
        #expect(FormSize(joint.layout).rows(inputs: 2, gradients: 4, buckets: 3) == rows)
        #expect(sum.storedElementCount == rows + FormSize(joint.layout).factors)
    }

    @Test func `the floor is made of all positions`() async throws {
        let rows = await joint.rows([0, 1, 2])
        let codebook = PositionCodebook(of: [rows], count: 1)
        let vector = joint.vector(seed: 6)
        let factors = KroneckerForm(rows, settings: .init(oneDimensional: .sum)).value(at: vector)
        expectClose(
            try form(rows, codebook, floor: .factors(0.5)).value(at: vector)
                - form(rows, codebook).value(at: vector), 0.5 * factors, relative: 1e-4)
    }

    @Test func `equal positions need no second centroid, and the same rows give the same buckets`() async throws {
        let rows = await joint.rows([4])
        let many = PositionCodebook(of: [rows], count: 50)
        #expect(many.bucketCount == 5)
        #expect(many.buckets(of: rows) == PositionCodebook(of: [rows], count: 50).buckets(of: rows))
    }
}
