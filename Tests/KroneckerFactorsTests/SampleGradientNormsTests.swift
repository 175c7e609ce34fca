import KroneckerFactors
import TestSupport
import Testing

/// ‖Σ_p g_p ã_pᵀ‖² of samples, against the product formed in fp64.
struct SampleGradientNormsTests {
    /// Samples of these numbers of rows, d_in, d_out, and whether there is a bias.
    struct Shape: Sendable {
        var lengths: [Int]
        var inputs: Int
        var outputs: Int
        var hasBias = true
    }

    private static func rows(_ count: Int, _ columns: Int, seed: UInt64) -> [[Double]] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { _ in random.values(columns).map { Double(Float($0)) } }
    }

    /// Σ over samples of the squares of Σ_p g_p ã_pᵀ.
    private static func expected(_ lengths: [Int], _ inputs: [[Double]], _ gradients: [[Double]]) -> Double {
        var (total, first) = (0.0, 0)
        for length in lengths {
            for row in gradients[0].indices {
                for column in inputs[0].indices {
                    let element = (first..<first + length).reduce(0) { $0 + gradients[$1][row] * inputs[$1][column] }
                    total += element * element
                }
            }
            first += length
        }
        return total
    }

    /// Adds samples in parts of at most `capacity` rows.
    private static func total<Norms: SampleNormSum>(
        _ norms: inout Norms, _ lengths: [Int], capacity: Int, _ gradients: [[Double]],
        fill: (inout Norms, Range<Int>) -> Void
    ) throws -> Double {
        var first = 0
        for length in lengths {
            for start in stride(from: 0, to: length, by: capacity) {
                let rows = first + start..<first + min(start + capacity, length)
                fill(&norms, rows)
                for (place, row) in rows.enumerated() {
                    for (column, value) in gradients[row].enumerated() {
                        norms.gradients[place * gradients[row].count + column] = Float(value)
                    }
                }
                try norms.add(rows: 0..<rows.count, endsSample: start + rows.count == length)
            }
            first += length
        }
        return norms.total
    }

    /// Short samples take the Gram matrices, long ones the product, and those beyond the buffers come in parts.
    @Test(
        arguments: [
            Shape(lengths: [1, 1, 1], inputs: 5, outputs: 3), Shape(lengths: [2, 3, 1], inputs: 20, outputs: 30),
            Shape(lengths: [9, 4, 12], inputs: 3, outputs: 2, hasBias: false),
            Shape(lengths: [40, 17], inputs: 2, outputs: 5),
            Shape(lengths: [7], inputs: 1, outputs: 1),
        ], [40, 6])
    func `each way gives the norms of the samples' gradients`(shape: Shape, capacity: Int) throws {
        let count = shape.lengths.reduce(0, +)
        let inputs = Self.rows(count, shape.inputs, seed: 1)
        let gradients = Self.rows(count, shape.outputs, seed: 2)
        var norms = SampleGradientNorms(
            inputColumns: shape.inputs, appendsOne: shape.hasBias, gradientColumns: shape.outputs, capacity: capacity)
        let found = try Self.total(&norms, shape.lengths, capacity: capacity, gradients) { norms, rows in
            for (place, row) in rows.enumerated() {
                for (column, value) in inputs[row].enumerated() {
                    norms.inputs[place * norms.inputWidth + column] = Float(value)
                }
            }
        }
        let whole = inputs.map { shape.hasBias ? $0 + [1] : $0 }
        expectClose(found, Self.expected(shape.lengths, whole, gradients), relative: 1e-5)
    }

    @Test(arguments: [false, true], [40, 3]) func `indices count as unit vectors`(hasBias: Bool, capacity: Int) throws {
        let (lengths, vocabulary) = ([5, 1, 8], 4)
        var random = SplitMix64(seed: 3)
        let indices = (0..<14).map { _ in Int((random.nextSigned() + 1) * 2) % vocabulary }
        let gradients = Self.rows(14, 3, seed: 4)
        var norms = IndexedGradientNorms(appendsOne: hasBias, gradientColumns: 3, capacity: capacity)
        let found = try Self.total(&norms, lengths, capacity: capacity, gradients) { norms, rows in
            for (place, row) in rows.enumerated() { norms.indices[place] = indices[row] }
        }
        let inputs = indices.map { index in
            (0..<vocabulary).map { $0 == index ? 1.0 : 0 } + (hasBias ? [1] : [])
        }
        expectClose(found, Self.expected(lengths, inputs, gradients), relative: 1e-12)
    }

    /// f_c = Σ_p w_c · φ(W a_p) has the Gauss-Newton block 1/N Σ_n Σ_c j jᵀ with j = vec ∂f_c/∂W.
    ///
    /// Its trace is that of the rows, where B ⊗ A has another one.
    @Test func `the mean over samples is the trace of the exact Gauss-Newton block`() throws {
        let (samples, positions, inputs, hidden, outputs) = (6, 3, 3, 4, 2)
        let weights = Self.rows(hidden, inputs, seed: 5)
        let readout = Self.rows(outputs, hidden, seed: 6)
        let rows = Self.rows(samples * positions, inputs, seed: 7)
        func slope(_ row: [Double], _ unit: Int) -> Double {
            2 * zip(weights[unit], row).reduce(0) { $0 + $1.0 * $1.1 }
        }
        var norms = SampleGradientNorms(
            inputColumns: inputs, appendsOne: false, gradientColumns: hidden, capacity: positions)
        var trace = 0.0
        for sample in 0..<samples {
            let own = Array(rows[sample * positions..<(sample + 1) * positions])
            for (place, row) in own.enumerated() {
                for (column, value) in row.enumerated() { norms.inputs[place * inputs + column] = Float(value) }
            }
            for output in 0..<outputs {
                for unit in 0..<hidden {
                    for column in 0..<inputs {
                        let derivative = own.reduce(0) { $0 + readout[output][unit] * slope($1, unit) * $1[column] }
                        trace += derivative * derivative / Double(samples)
                    }
                    for (place, row) in own.enumerated() {
                        norms.gradients[place * hidden + unit] = Float(readout[output][unit] * slope(row, unit))
                    }
                }
                try norms.add(rows: 0..<positions, endsSample: true)
            }
        }
        expectClose(norms.total / Double(samples), trace, relative: 1e-5)
    }
}
