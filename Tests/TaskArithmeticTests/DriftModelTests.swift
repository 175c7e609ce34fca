import TestSupport
import Testing

@testable import TaskArithmetic

/// Predicted drifts and their minimisers, against closed forms and against explicit Kronecker products in fp64.
struct DriftModelTests {
    private func model(_ forms: [[[Double]]], shares: [Double], targets: [[Double]]? = nil) throws -> DriftModel {
        let count = forms[0].count
        let tasks = try forms.indices.map { task in
            let rows = (0..<count).map { row in Array(forms[task][row][0...row]) }
            let own = (0..<count).map { $0 == task ? 1.0 : 0 }
            return DriftModel.Task(
                form: try #require(InterferenceForm(lowerTriangle: rows)), share: shares[task],
                target: targets?[task] ?? own)
        }
        return DriftModel(tasks, vectorCount: count)
    }

    // MARK: - Closed forms

    @Test func `one task stays at its own model`() throws {
        let model = try model([[[4]]], shares: [1])
        #expect(model.bestScale(of: [1]) == .init(value: 1, isUnique: true))
        #expect(model.bestScale(of: [0.5]).value == 2)
        let best = try model.bestCoefficients(fixed: [nil])
        #expect(best == .init(values: [1], isUnique: true))
        #expect(model.drift(of: 0, at: best.values) == 0)
        #expect(model.drift(of: 0, at: [0]) == 4 && model.drift(of: 0, at: [3]) == 16)
    }

    @Test func `vectors that leave the other tasks alone have the weight 1`() throws {
        let model = try model([[[3, 0], [0, 0]], [[0, 0], [0, 5]]], shares: [0.25, 0.75])
        let best = try model.bestCoefficients(fixed: [nil, nil])
        expectClose(best.values, [1, 1.0], relative: 1e-14)
        #expect(best.isUnique && model.total(at: [1, 1]) == 0)
        #expect(model.bestScale(of: [1, 1]) == .init(value: 1, isUnique: true))
        // Weights that are wrong in opposite directions: 0.25 · 3 · 2 and 0.75 · 5 · 0.5 against their squares.
        let scale = model.bestScale(of: [2, 0.5])
        expectClose([scale.value], [(0.75 * 2 + 3.75 * 0.5) / (0.75 * 4 + 3.75 * 0.25)], relative: 1e-14)
    }

    @Test(arguments: [[1 / 3, 1 / 3, 1 / 3], [0.7, 0.2, 0.1]] as [[Double]])
    func `equal tasks share the weight 1 equally, which is the solution of least norm`(shares: [Double]) throws {
        let form = [[Double]](repeating: [2, 2, 2], count: 3)
        let model = try model([form, form, form], shares: shares)
        let best = try model.bestCoefficients(fixed: [nil, nil, nil])
        expectClose(best.values, [1 / 3, 1 / 3, 1 / 3.0], relative: 1e-12)
        #expect(!best.isUnique)
        #expect(model.total(at: best.values) < 1e-15)
        expectClose([model.bestScale(of: [1, 1, 1]).value], [1 / 3.0], relative: 1e-14)
        // With one weight given, the others share the rest.
        expectClose(try model.bestCoefficients(fixed: [0.5, nil, nil]).values, [0.5, 0.25, 0.25], relative: 1e-12)
    }

    @Test func `a small vector beside a large one is not flat`() throws {
        let model = try model([[[9e8, 0], [0, 0]], [[0, 0], [0, 1e-8]]], shares: [0.5, 0.5])
        let best = try model.bestCoefficients(fixed: [nil, nil])
        expectClose(best.values, [1, 1.0], relative: 1e-12)
        #expect(best.isUnique)
    }

    @Test func `opposite tasks stay at the base, and no scale changes their sum`() throws {
        let form: [[Double]] = [[1, -1], [-1, 1]]
        let model = try model([form, form], shares: [0.5, 0.5])
        let best = try model.bestCoefficients(fixed: [nil, nil])
        expectClose(best.values, [0, 0.0], absolute: 1e-15)
        #expect(!best.isUnique)
        #expect(model.bestScale(of: [1, 1]) == .init(value: 0, isUnique: false))
        #expect(model.bestScale(of: [1, -1]) == .init(value: 0, isUnique: true))
    }

    @Test func `a negated task is at its place with the weight -1`() throws {
        let model = try model(
            [[[3, 0], [0, 0]], [[0, 0], [0, 5]]], shares: [0.5, 0.5], targets: [[-1, 0], [0, 1]])
        #expect(model.total(at: [-1, 1]) == 0)
        #expect(model.bestScale(of: [-1, 1]).value == 1)
        expectClose(try model.bestCoefficients(fixed: [nil, nil]).values, [-1, 1.0], relative: 1e-14)
    }

    @Test func `nothing moves a model without curvature, and given weights stay`() throws {
        let model = try model([[[0, 0], [0, 0]], [[0, 0], [0, 0]]], shares: [0.5, 0.5])
        #expect(try model.bestCoefficients(fixed: [nil, 2]) == .init(values: [0, 2], isUnique: false))
        #expect(try model.bestCoefficients(fixed: [3, 2]) == .init(values: [3, 2], isUnique: true))
        #expect(model.bestScale(of: [1, 1]) == .init(value: 0, isUnique: false))
        #expect(InterferenceForm(lowerTriangle: [[1], [2]]) == nil)
    }

    // MARK: - Random networks

    /// Layers with explicit matrices B ⊗ A over vec(Δ), row-major.
    private struct Network {
        /// For each layer and task, `[d_out · d_in]` squared.
        var curvatures: [[[[Double]]]] = []
        /// For each layer and task vector, vec(Δ).
        var vectors: [[[Double]]] = []
        let taskCount: Int

        init(tasks: Int, seed: UInt64) {
            taskCount = tasks
            var random = SplitMix64(seed: seed)
            for (layer, (outputs, inputs)) in [(2, 3), (4, 2), (1, 5)].enumerated() {
                curvatures.append(
                    (0..<tasks).map { task in
                        let place = UInt64(10 * layer + task) + 1000 * seed
                        let gradient = DenseSquare.randomFactor(outputs, seed: place + 100)
                        let input = DenseSquare.randomFactor(inputs, seed: place + 500)
                        return (0..<outputs * inputs).map { row in
                            (0..<outputs * inputs).map { column in
                                gradient[row / inputs][column / inputs] * input[row % inputs][column % inputs]
                            }
                        }
                    })
                vectors.append((0..<tasks).map { _ in random.values(outputs * inputs) })
            }
        }

        private func form(_ matrix: [[Double]], _ left: [Double], _ right: [Double]) -> Double {
            left.indices.reduce(0) { sum, row in
                sum + left[row] * right.indices.reduce(0) { $0 + matrix[row][$1] * right[$1] }
            }
        }

        /// Σ_ℓ vec(Δ_i)ᵀ (B ⊗ A) vec(Δ_k).
        func pair(_ first: Int, _ second: Int, task: Int) -> Double {
            vectors.indices.reduce(0) {
                $0 + form(curvatures[$1][task], vectors[$1][first], vectors[$1][second])
            }
        }

        /// The distance of the merged parameters from the task's own, by the parameters themselves.
        func drift(of task: Int, at coefficients: [Double]) -> Double {
            vectors.indices.reduce(0) { sum, layer in
                let away = vectors[layer][task].indices.map { element in
                    coefficients.indices.reduce(-vectors[layer][task][element]) {
                        $0 + coefficients[$1] * vectors[layer][$1][element]
                    }
                }
                return sum + form(curvatures[layer][task], away, away)
            }
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `drifts and their minimisers are those of the explicit Kronecker products`(seed: UInt64) throws {
        let network = Network(tasks: 3, seed: seed)
        let shares = [0.5, 0.3, 0.2]
        let forms = (0..<3).map { task in
            (0..<3).map { first in (0..<3).map { network.pair(first, $0, task: task) } }
        }
        let model = try model(forms, shares: shares)
        func total(_ coefficients: [Double]) -> Double {
            shares.indices.reduce(0) { $0 + shares[$1] * network.drift(of: $1, at: coefficients) }
        }
        var random = SplitMix64(seed: seed + 77)
        for _ in 0..<4 {
            let coefficients = random.values(3)
            for task in 0..<3 {
                expectClose(
                    [model.drift(of: task, at: coefficients)], [network.drift(of: task, at: coefficients)],
                    relative: 1e-11)
            }
            // The total is a parabola in α, whose vertex three of its values give.
            let (start, middle, end) = (total([0, 0, 0]), total(coefficients), total(coefficients.map { 2 * $0 }))
            let curvature = (end - 2 * middle + start) / 2
            let vertex = (curvature - (middle - start)) / (2 * curvature)
            expectClose([model.bestScale(of: coefficients).value], [vertex], relative: 1e-9, absolute: 1e-10)
        }
        // Central differences of a quadratic are its derivatives.
        let best = try model.bestCoefficients(fixed: [nil, nil, nil])
        #expect(best.isUnique)
        for vector in 0..<3 {
            func moved(_ step: Double) -> Double {
                var coefficients = best.values
                coefficients[vector] += step
                return total(coefficients)
            }
            expectClose([(moved(1) - moved(-1)) / 2], [0.0], absolute: 1e-11 * total([0, 0, 0]))
            #expect(moved(0.01) > total(best.values) && moved(-0.01) > total(best.values))
        }
    }
}
