import LinearAlgebra
import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

struct CurvaturePenaltyTests {
    private let layout: ParameterLayout
    private let penalty: CurvaturePenalty
    private let vector: [Float]

    /// Makes two terms for each layer, as in equation 7, and two blocks for each vector.
    init() throws {
        layout = try TinyModel().base.layout
        var random = SplitMix64(seed: 3)
        var layers: [CurvaturePenalty.LayerTerm] = []
        var vectors: [CurvaturePenalty.VectorTerm] = []
        for weight in [Float(0.75), 0.25] {
            for layer in layout.layers {
                let side = layer.inputWidth + (layer.biasOffset == nil ? 0 : 1)
                layers.append(
                    .init(
                        layer: layer, weight: weight, input: Self.square(side, &random),
                        gradient: Self.square(layer.outputWidth, &random)))
            }
            for entry in layout.vectors {
                vectors.append(.init(entry: entry, weight: weight, block: Self.square(entry.count, &random)))
            }
        }
        penalty = CurvaturePenalty(layers: layers, vectors: vectors)
        vector = random.values(layout.count).map(Float.init)
    }

    /// X Xᵀ / n of random X: symmetric and positive semi-definite.
    private static func square(_ side: Int, _ random: inout SplitMix64) -> [Float] {
        let values = random.values(side * side)
        return (0..<side * side).map { index in
            let (row, column) = index.quotientAndRemainder(dividingBy: side)
            return Float(
                (0..<side).reduce(0.0) { $0 + values[row * side + $1] * values[column * side + $1] } / Double(side))
        }
    }

    /// Σ weight · tr(B Δ A Δᵀ) + Σ weight · δᵀ F δ element by element, in fp64.
    private func value(at vector: [Double]) -> Double {
        var sum = 0.0
        for term in penalty.layers {
            let layer = term.layer
            let side = term.inputSide
            func delta(_ row: Int, _ column: Int) -> Double {
                if column < layer.inputWidth { return vector[layer.weight.offset + row * layer.inputWidth + column] }
                return vector[(layer.biasOffset ?? 0) + row]
            }
            for row in 0..<layer.outputWidth {
                for other in 0..<layer.outputWidth {
                    var product = 0.0
                    for left in 0..<side {
                        for right in 0..<side {
                            product += delta(other, left) * Double(term.input[left * side + right]) * delta(row, right)
                        }
                    }
                    sum += Double(term.weight) * Double(term.gradient[row * layer.outputWidth + other]) * product
                }
            }
        }
        for term in penalty.vectors {
            let (start, side) = (term.entry.offset, term.entry.count)
            for row in 0..<side {
                for column in 0..<side {
                    sum +=
                        Double(term.weight) * vector[start + row] * Double(term.block[row * side + column])
                        * vector[start + column]
                }
            }
        }
        return sum
    }

    @Test func `the value is the sum over terms of tr(B Δ A Δᵀ) and δᵀ F δ`() {
        var gradient = [Float](repeating: 0, count: layout.count)
        var scratch = PenaltyScratch()
        let found = penalty.addGradient(at: vector, scale: 1, to: &gradient, scratch: &scratch)
        expectClose(found, value(at: vector.map(Double.init)), relative: 1e-5)
    }

    @Test func `the gradient agrees with finite differences and is added with its scale`() {
        var gradient = [Float](repeating: 5, count: layout.count)
        var scratch = PenaltyScratch()
        _ = penalty.addGradient(at: vector, scale: 0.5, to: &gradient, scratch: &scratch)
        // The penalty is quadratic, so a central difference is exact up to rounding. Every 29th parameter includes some
        // of each layer's weight and bias and of each vector.
        let places = Array(stride(from: 0, to: layout.count, by: 29)) + layout.entries.map(\.offset)
        let expected = places.map { place in
            var (up, down) = (vector.map(Double.init), vector.map(Double.init))
            up[place] += 0.5
            down[place] -= 0.5
            return 5 + 0.5 * (value(at: up) - value(at: down))
        }
        expectClose(places.map { gradient[$0] }, expected, relative: 1e-4, absolute: 1e-4)
    }

    @Test func `scratch buffers that held other numbers change nothing`() {
        var fresh = [Float](repeating: 0, count: layout.count)
        var used = fresh
        var scratch = PenaltyScratch()
        _ = penalty.addGradient(at: vector, scale: 1, to: &fresh, scratch: &scratch)
        _ = penalty.addGradient(at: vector, scale: 1, to: &used, scratch: &scratch)
        #expect(fresh == used)
    }

    @Test func `a vector of zeros has no penalty and no gradient`() {
        var gradient = [Float](repeating: 0, count: layout.count)
        var scratch = PenaltyScratch()
        let zeros = gradient
        #expect(penalty.addGradient(at: zeros, scale: 1, to: &gradient, scratch: &scratch) == 0)
        #expect(gradient == zeros)
    }
}
