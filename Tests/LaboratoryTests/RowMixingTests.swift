import LinearAlgebra
import TestSupport
import Testing

@testable import Laboratory

struct RowMixingTests {
    private let joint: JointModel

    init() throws { joint = try JointModel() }

    private func forms(
        _ floor: PseudoRows.Floor, mixing: Bool, of sampleLists: [[Int]] = [[0, 1, 2, 3], [4, 5, 6, 7]]
    ) async throws -> [PseudoRows] {
        var forms: [PseudoRows] = []
        for samples in sampleLists {
            let settings = PseudoRows.Settings(inputRank: 3, gradientRank: 5, floor: floor, mixing: mixing)
            forms.append(try PseudoRows(await joint.rows(samples), settings: settings))
        }
        return forms
    }

    @Test(arguments: [PseudoRows.Floor.none, .factors(0.5), .complement])
    func `mixing leaves Ω and its gradient as they are, for one task and for several`(
        floor: PseudoRows.Floor
    ) async throws {
        let (plain, mixed) = (try await forms(floor, mixing: false), try await forms(floor, mixing: true))
        let pairs = [
            (plain[0], mixed[0]), (plain[1], mixed[1]),
            (try PseudoRows.accumulated(plain), try PseudoRows.accumulated(mixed)),
        ]
        for (plain, mixed) in pairs {
            #expect(plain.rows.inputs[0] != mixed.rows.inputs[0])
            #expect(plain.rows.gradients[0] != mixed.rows.gradients[0])
            #expect(plain.storedElementCount == mixed.storedElementCount)
            for seed in 1...3 as ClosedRange<UInt64> {
                let vector = joint.vector(seed: seed)
                expectClose(mixed.value(at: vector), plain.value(at: vector), relative: 1e-5)
                let expected = plain.gradient(at: vector).map(Double.init)
                let size = expected.map(\.magnitude).max() ?? 0
                expectClose(mixed.gradient(at: vector), expected, absolute: 1e-5 * size)
            }
        }
    }

    @Test func `the rotation is orthogonal: all inner products of a side's elements stay`() async throws {
        let rows = await joint.rows([0, 1, 2, 3, 4]).rows
        let mixed = try rows.mixed()
        for (before, after, count) in [
            (rows.inputs, mixed.inputs, rows.inputCount), (rows.gradients, mixed.gradients, rows.gradientCount),
        ] {
            for (before, after) in zip(before, after) {
                let width = before.count / count
                for pair in [(0, 0), (0, width - 1), (width / 2, width / 3)] {
                    func product(_ values: [Float]) -> Double {
                        (0..<count).reduce(0) {
                            $0 + Double(values[$1 * width + pair.0]) * Double(values[$1 * width + pair.1])
                        }
                    }
                    let size = before.reduce(0) { $0 + Double($1) * Double($1) } / Double(width)
                    expectClose(product(after), product(before), absolute: 1e-5 * size)
                }
            }
        }
    }

    @Test func `compressing mixed rows again finds the rows before, up to signs`() async throws {
        let samples = Array(0..<8)
        let task = await joint.rows(samples)
        let weights = JointWeights(task)
        let plain = try task.rows.compressed(inputRank: 3, gradientRank: 5, weights: weights)
        let mixed = try plain.mixed()
        let again = try mixed.compressed(inputRank: 3, gradientRank: 5, weights: weights)
        let width = plain.inputs[0].count / 3
        for row in 0..<3 {
            let (before, after) = (
                plain.inputs[0][row * width..<(row + 1) * width], again.inputs[0][row * width..<(row + 1) * width]
            )
            let product = zip(before, after).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            let square = before.reduce(0.0) { $0 + Double($1) * Double($1) }
            expectClose(product.magnitude, square, relative: 1e-3)
        }
    }
}
