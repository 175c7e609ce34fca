import Identifiers
import KroneckerFactors
import LinearAlgebra
import TestSupport
import Testing

/// One test for each equation, against Jacobians computed by hand.
///
/// The network is f(x) = W₂ φ(W₁ã), ã = [a; 1], with 3 inputs, 4 hidden units and 2 outputs; the layer under test is
/// W₁, `[4, 3 + 1]`, vec row by row.
struct PaperTests {
    private let inputs = 3
    private let hidden = 4
    private let outputs = 2
    /// W₂, rows c.
    private let readout: [[Double]]
    /// W₁ with the bias last.
    private let weights: [Double]

    init() {
        var random = SplitMix64(seed: 11)
        readout = [random.values(4), random.values(4)]
        weights = random.values(4 * 4)
    }

    private func samples(_ count: Int, seed: UInt64) -> [[Double]] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { _ in random.values(inputs) }
    }

    /// ∂f_c/∂vec(W₁) = (W₂[c] ⊙ slope) ⊗ ã.
    private func jacobianRow(_ output: Int, _ input: [Double], slope: [Double] = [1, 1, 1, 1]) -> [Double] {
        (0..<hidden).flatMap { unit in
            (input + [1]).map { readout[output][unit] * slope[unit] * $0 }
        }
    }

    /// DESIGN 2.1, expand: A = 1/(NR) ΣΣ ããᵀ, B = 1/N ΣΣΣ ggᵀ (M = C basis probes, summed).
    ///
    /// A deep linear network with an output at each position and squared loss has the Gauss-Newton block 1/N ΣΣ JᵀJ = B
    /// ⊗ A.
    @Test(arguments: [1, 3]) func `expand is the exact Gauss-Newton block of a deep linear network`(
        positions: Int
    ) throws {
        let rows = samples(5 * positions, seed: 1)
        let counts = try SampleCounts(
            samples: 5,
            rows: 5 * positions,
            probes: .exactBasis(outputCount: outputs)
        )
        let normalization = FactorNormalization.expand
        let a = try factor(
            of: rows,
            divisor: normalization.divisor(of: .input, counts: counts),
            appendsOne: true
        )
        let gradients = rows.flatMap { _ in readout }
        let b = try factor(of: gradients, divisor: normalization.divisor(of: .gradient, counts: counts))
        let jacobian = rows.flatMap { row in (0..<outputs).map { jacobianRow($0, row) } }
        expectClose(kroneckerProduct(square(b), square(a)), gram(jacobian, scale: 1 / 5), absolute: 2e-6)
    }

    /// DESIGN 2.1, tak: the B of the official code has an additional factor 1/R.
    @Test func `tak is expand with B divided by the positions`() throws {
        let counts = try SampleCounts(samples: 6, rows: 18, probes: .monteCarlo(count: 2))
        #expect(FactorNormalization.expand.divisor(of: .input, counts: counts) == 18)
        #expect(FactorNormalization.tak.divisor(of: .input, counts: counts) == 18)
        #expect(FactorNormalization.reduce.divisor(of: .input, counts: counts) == 6)
        #expect(FactorNormalization.expand.divisor(of: .gradient, counts: counts) == 12)
        #expect(FactorNormalization.tak.divisor(of: .gradient, counts: counts) == 36)
        #expect(FactorNormalization.reduce.divisor(of: .gradient, counts: counts) == 12)
        for normalization in FactorNormalization.allCases {
            #expect(normalization.divisor(of: .full, counts: counts) == 12)
        }
        let exact = try SampleCounts(samples: 6, rows: 18, probes: .exactBasis(outputCount: 10))
        #expect(FactorNormalization.tak.divisor(of: .gradient, counts: exact) == 18)
    }

    /// DESIGN 2.1: samples of 3, 0 and 4 rows.
    @Test func `divisors count rows, whose number need not divide by the samples`() throws {
        let counts = try SampleCounts(samples: 3, rows: 7, probes: .monteCarlo(count: 2))
        let divisors = FactorNormalization.allCases.map { normalization in
            [FactorSide.input, .gradient, .full].map { normalization.divisor(of: $0, counts: counts) }
        }
        #expect(FactorNormalization.allCases == [.tak, .expand, .reduce])
        #expect(divisors == [[7, 14, 6], [7, 6, 6], [3, 6, 6]])
    }

    /// DESIGN 2.1, reduce: A = 1/N Σ āāᵀ, B = 1/N ΣΣ ḡḡᵀ.
    ///
    /// A deep linear network whose output is the mean over positions has ∂f/∂z_r = W₂/R at each position. So ḡ = W₂[c],
    /// and the Gauss-Newton block is again B ⊗ A.
    @Test func `reduce is the exact Gauss-Newton block of a network that averages its positions`() throws {
        let positions = 3
        let rows = samples(5 * positions, seed: 2)
        let counts = try SampleCounts(
            samples: 5,
            rows: 5 * positions,
            probes: .exactBasis(outputCount: outputs)
        )
        let normalization = FactorNormalization.reduce
        let a = try factor(
            of: rows,
            divisor: normalization.divisor(of: .input, counts: counts),
            appendsOne: true,
            reduction: normalization.positionReduction(of: .input, positions: positions)
        )
        let gradients = (0..<5).flatMap { _ in
            readout.flatMap { row in
                [[Double]](repeating: row.map { $0 / Double(positions) }, count: positions)
            }
        }
        let b = try factor(
            of: gradients,
            divisor: normalization.divisor(of: .gradient, counts: counts),
            reduction: normalization.positionReduction(of: .gradient, positions: positions)
        )
        let jacobian = (0..<5).flatMap { sample -> [[Double]] in
            let own = rows[sample * positions..<(sample + 1) * positions]
            let mean = (0..<inputs).map { index in own.reduce(0) { $0 + $1[index] } / Double(positions) }
            return (0..<outputs).map { jacobianRow($0, mean) }
        }
        expectClose(kroneckerProduct(square(b), square(a)), gram(jacobian, scale: 1 / 5), absolute: 2e-6)
    }

    /// Martens & Grosse 2015, §3: the expectation of a product becomes a product of expectations.
    ///
    /// With one sample this is exact, whatever the nonlinearity.
    ///
    /// φ(z) = z³ + z; the Jacobian by central differences.
    @Test func `one sample of a nonlinear network has the exact Gauss-Newton block`() throws {
        let input = samples(1, seed: 3)[0]
        func network(_ weights: [Double]) -> [Double] {
            let activation = (0..<hidden).map { unit -> Double in
                let z = zip(weights[unit * 4..<(unit + 1) * 4], input + [1]).reduce(0) { $0 + $1.0 * $1.1 }
                return z * z * z + z
            }
            return readout.map { row in zip(row, activation).reduce(0) { $0 + $1.0 * $1.1 } }
        }
        let step = 1e-5
        var jacobian = [[Double]](repeating: [], count: outputs)
        for index in weights.indices {
            var (up, down) = (weights, weights)
            up[index] += step
            down[index] -= step
            for (output, pair) in zip(network(up), network(down)).enumerated() {
                jacobian[output].append((pair.0 - pair.1) / (2 * step))
            }
        }
        let slope = (0..<hidden).map { unit -> Double in
            let z = zip(weights[unit * 4..<(unit + 1) * 4], input + [1]).reduce(0) { $0 + $1.0 * $1.1 }
            return 3 * z * z + 1
        }
        let a = try factor(of: [input], divisor: 1, appendsOne: true)
        let b = try factor(of: readout.map { row in zip(row, slope).map { $0 * $1 } }, divisor: 1)
        expectClose(kroneckerProduct(square(b), square(a)), gram(jacobian), relative: 1e-5, absolute: 1e-5)
    }

    /// DESIGN 2.2: Ω(Δ) = tr(BΔAΔᵀ).
    ///
    /// For a vector that changes one layer of a deep linear network, it is the mean squared change of the output,
    /// ‖Jτ‖².
    @Test func `the penalty of a vector in one layer is the squared change of the output`() throws {
        let rows = samples(7, seed: 4)
        var random = SplitMix64(seed: 5)
        let delta = random.values(hidden * (inputs + 1))
        let penalty = try KroneckerPenalty(
            inputFactor: factor(of: rows, divisor: 7, appendsOne: true),
            gradientFactor: factor(of: rows.flatMap { _ in readout }, divisor: 7)
        )
        let value = try penalty.value(of: Matrix(rows: hidden, columns: inputs + 1, elements: delta))
        var expected = 0.0
        for row in rows {
            for output in 0..<outputs {
                let change = zip(jacobianRow(output, row), delta).reduce(0) { $0 + $1.0 * $1.1 }
                expected += change * change / 7
            }
        }
        expectClose(value, expected, relative: 1e-6)
    }

    /// DESIGN 2.2: ∇Ω = 2BΔA and 2Fδ.
    ///
    /// A quadratic form's central difference is exact up to rounding.
    @Test func `the gradients are those of finite differences`() throws {
        var random = SplitMix64(seed: 6)
        let penalty = try KroneckerPenalty(
            inputFactor: randomFactor(4, seed: 7),
            gradientFactor: randomFactor(3, seed: 8)
        )
        let delta = random.values(12)
        var expected: [Double] = []
        for index in delta.indices {
            var values: [Double] = []
            for step in [1e-3, -1e-3] {
                var moved = delta
                moved[index] += step
                values.append(try penalty.value(of: Matrix(rows: 3, columns: 4, elements: moved)))
            }
            expected.append((values[0] - values[1]) / 2e-3)
        }
        let gradient = try penalty.gradient(at: Matrix(rows: 3, columns: 4, elements: delta))
        expectClose(gradient.elements, expected, absolute: 1e-11)

        let block = try FullBlockPenalty(block: randomFactor(5, seed: 9))
        let vector = random.values(5)
        let blockExpected = try vector.indices.map { index in
            var (up, down) = (vector, vector)
            up[index] += 1e-3
            down[index] -= 1e-3
            return (try block.value(of: up) - block.value(of: down)) / 2e-3
        }
        expectClose(try block.gradient(at: vector), blockExpected, absolute: 1e-11)
    }

    /// Equation 8 against equation 7: when all tasks share their factors, (ΣB_t) ⊗ (Σλ_t A_t) = T'·Σ λ_t B_t ⊗ A_t.
    @Test(arguments: RegularizerScale.allCases) func `eq 8 is eq 7 up to scale for equal factors`(
        scale: RegularizerScale
    ) throws {
        let weights = try RegularizerWeights([100, 300, 600], scale: scale)
        let a = try randomFactor(4, seed: 10)
        let b = try randomFactor(3, seed: 11)
        let accumulated = try KroneckerPenalty(
            inputFactor: leaveOneOut([a.elements, a.elements, a.elements], 1, .input, weights).factor,
            gradientFactor: leaveOneOut([b.elements, b.elements, b.elements], 1, .gradient, weights).factor
        )
        let own = try KroneckerPenalty(inputFactor: a, gradientFactor: b)
        var random = SplitMix64(seed: 12)
        let delta = try Matrix<Double>(rows: 3, columns: 4, elements: random.values(12))
        var perTask = 0.0
        for lambda in try weights.lambdas(excluding: 1) { perTask += lambda * (try own.value(of: delta)) }
        let ratio = scale == .paper ? 2.0 : 1
        expectClose(try accumulated.value(of: delta), ratio * perTask, relative: 1e-6)
    }

    /// Equation 7 is linear in the tasks; written out with matrices B_t ⊗ A_t.
    @Test func `eq 7 is the weighted sum of Kronecker products`() throws {
        let lambdas = [0.25, 0.75]
        var random = SplitMix64(seed: 13)
        let elements = random.values(12)
        let delta = try Matrix<Double>(rows: 3, columns: 4, elements: elements)
        var perTask = 0.0
        var expected = 0.0
        for (task, lambda) in lambdas.enumerated() {
            let a = try randomFactor(4, seed: 20 + UInt64(task))
            let b = try randomFactor(3, seed: 30 + UInt64(task))
            perTask += lambda * (try KroneckerPenalty(inputFactor: a, gradientFactor: b).value(of: delta))
            let product = kroneckerProduct(square(b), square(a))
            for i in 0..<12 { for j in 0..<12 { expected += lambda * elements[i] * product[i * 12 + j] * elements[j] } }
        }
        expectClose(perTask, expected, relative: 1e-12)
    }

    /// DESIGN 2.4, Martens & Grosse 2015, §6.3, with γ as a share of ā·b̄: A + π√(γāb̄)·I and B + √(γāb̄)/π·I, π² = ā/b̄.
    @Test func `the pi rule balances the two sides`() throws {
        let (input, gradient) = (FactorScale(trace: 8, dimension: 2), FactorScale(trace: 3, dimension: 3))
        let pi = (input.meanEigenvalue / gradient.meanEigenvalue).squareRoot()
        let root = (0.01 * input.meanEigenvalue * gradient.meanEigenvalue).squareRoot()
        let damping = try Damping(.pi, 0.01)
        expectClose(
            [damping.amount(side: input), damping.amount(side: gradient)], [pi * root, root / pi], relative: 1e-15)
        #expect(damping.amount(side: FactorScale(trace: 0, dimension: 2)) == 0)
        expectClose(damping.amount(fullBlock: gradient), 0.01, relative: 1e-15)
    }

    @Test func `relative damping is a share of the mean eigenvalue, absolute damping is what it is`() throws {
        let scale = FactorScale(trace: 8, dimension: 2)
        expectClose(try Damping(.relative, 0.01).amount(side: scale), 0.04, relative: 1e-15)
        #expect(try Damping(.relative, 0.5).amount(fullBlock: scale) == 2)
        #expect(try Damping(.absolute, 0.5).amount(side: scale) == 0.5)
        #expect(try Damping(.absolute, 0.5).amount(fullBlock: scale) == 0.5)
    }

    /// DESIGN 2.4: a default has no unit.
    @Test(arguments: DampingRule.allCases)
    func `a rule with a default value damps in the unit of the factor`(rule: DampingRule) throws {
        guard let value = rule.defaultValue else {
            #expect(rule == .absolute)
            return
        }
        let damping = try Damping(rule, value)
        for unit in [1e-30, 1e-8, 1e8] {
            let scaled = FactorScale(trace: 3 * unit, dimension: 2)
            let plain = FactorScale(trace: 3, dimension: 2)
            expectClose(damping.amount(side: scaled), unit * damping.amount(side: plain), relative: 1e-14)
            expectClose(damping.amount(fullBlock: scaled), unit * damping.amount(fullBlock: plain), relative: 1e-14)
        }
    }
}
