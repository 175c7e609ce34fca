import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import TestSupport
import Testing

/// One test for each equation of merging with factors.
struct PaperTests {
    private func packed(_ square: [[Double]]) throws -> PackedSymmetricMatrix<Float> {
        try PackedSymmetricMatrix(
            dimension: square.count,
            elements: square.indices.flatMap { row in square[row][...row].map { Float($0) } }
        )
    }

    private func identity(_ order: Int) throws -> PackedSymmetricMatrix<Float> {
        try packed((0..<order).map { row in (0..<order).map { $0 == row ? 1 : 0 } })
    }

    private func randomFactor(_ order: Int, seed: UInt64) throws -> PackedSymmetricMatrix<Float> {
        var random = SplitMix64(seed: seed)
        let rows = (0..<2 * order).map { _ in random.values(order) }
        return try packed(
            (0..<order).map { i in (0..<order).map { j in rows.reduce(0) { $0 + $1[i] * $1[j] } } }
        )
    }

    /// DESIGN 2.5: Δ = B̄⁻¹(Σ λ_t B_t Δ_t A_t)Ā⁻¹; equal factors give the weighted mean.
    @Test func `identical factors give the weighted mean`() throws {
        var random = SplitMix64(seed: 1)
        let (a, b) = (random.values(12), random.values(12))
        let input = try randomFactor(4, seed: 2)
        let gradient = try randomFactor(3, seed: 3)
        var merge = try KroneckerMerge(outputCount: 3, inputCount: 4)
        for (values, lambda) in [(a, 0.25), (b, 0.75)] {
            try merge.add(
                delta: Matrix(rows: 3, columns: 4, elements: values),
                inputFactor: input,
                gradientFactor: gradient,
                lambda: lambda
            )
        }
        let layer = try merge.finish(damping: Damping(.absolute, 0))
        expectClose(layer.delta.elements, zip(a, b).map { 0.25 * $0 + 0.75 * $1 }, absolute: 1e-9)
    }

    /// DESIGN 2.5: tasks whose inputs live in disjoint subspaces keep their full vectors as the damping goes to 0.
    @Test func `tasks in disjoint subspaces keep their full vectors`() throws {
        let angle = 0.6
        let (c, s) = (0.8, angle)
        // Input coordinates 0 and 1, rotated; task t sees the t-th rotated axis only.
        let axes = [[c, s], [-s, c]]
        var merge = try KroneckerMerge(outputCount: 3, inputCount: 2)
        var random = SplitMix64(seed: 4)
        var expected = [Double](repeating: 0, count: 6)
        for axis in axes {
            let output = random.values(3)
            let delta = output.flatMap { value in axis.map { value * $0 } }
            for index in delta.indices { expected[index] += delta[index] }
            try merge.add(
                delta: Matrix(rows: 3, columns: 2, elements: delta),
                inputFactor: packed(axis.map { x in axis.map { x * $0 } }),
                gradientFactor: identity(3),
                lambda: 0.5
            )
        }
        let layer = try merge.finish(damping: Damping(.relative, 1e-9))
        expectClose(layer.delta.elements, expected, absolute: 1e-6)
    }

    /// DESIGN 2.5: where the objective Σ λ_t tr(B_t(Δ−Δ_t)A_t(Δ−Δ_t)ᵀ) is a single Kronecker product (equal B_t) the
    /// closed form is its minimiser: the gradient Σ λ_t B_t(Δ − Δ_t)A_t vanishes.
    @Test func `with equal B the closed form is the minimiser`() throws {
        var random = SplitMix64(seed: 5)
        let deltas = [random.values(12), random.values(12), random.values(12)]
        let lambdas = [0.2, 0.3, 0.5]
        let gradient = try randomFactor(3, seed: 6)
        var merge = try KroneckerMerge(outputCount: 3, inputCount: 4)
        for task in 0..<3 {
            try merge.add(
                delta: Matrix(rows: 3, columns: 4, elements: deltas[task]),
                inputFactor: randomFactor(4, seed: 10 + UInt64(task)),
                gradientFactor: gradient,
                lambda: lambdas[task]
            )
        }
        let merged = try merge.finish(damping: Damping(.absolute, 0)).delta.elements
        var slope = [Double](repeating: 0, count: 12)
        for task in 0..<3 {
            let penalty = try KroneckerPenalty(
                inputFactor: randomFactor(4, seed: 10 + UInt64(task)),
                gradientFactor: gradient
            )
            let difference = zip(merged, deltas[task]).map { $0 - $1 }
            let own = try penalty.gradient(at: Matrix(rows: 3, columns: 4, elements: difference)).elements
            for index in own.indices { slope[index] += lambdas[task] * own[index] }
        }
        expectClose(slope, [Double](repeating: 0, count: 12), absolute: 1e-10)
    }

    /// DESIGN 2.5: one-dimensional parameters, δ = (Σ λF + εI)⁻¹ Σ λ F_t δ_t.
    @Test func `a one-dimensional parameter is solved with its full blocks`() throws {
        var merge = try FullBlockMerge(count: 2)
        for (delta, block) in [([1.0, 5.0], [3.0, 0]), ([7.0, 2.0], [1.0, 4.0])] {
            try merge.add(
                delta: Matrix(rows: 1, columns: 2, elements: delta),
                block: packed([[block[0], 0], [0, block[1]]]),
                lambda: 0.5
            )
        }
        let result = try merge.finish(damping: Damping(.absolute, 0.5))
        // Coordinate 0: (0.5·3·1 + 0.5·1·7)/(2 + 0.5), coordinate 1: 0.5·4·2/(2 + 0.5).
        expectClose(result.delta.elements, [2, 1.6], relative: 1e-12)
    }

    /// DESIGN 2.3: I[i][j] = Σ_ℓ tr(B_j Δ_i A_j Δ_iᵀ), by hand for diagonal factors: Σ b_r a_c Δ_rc².
    @Test func `interference is the penalty of each vector under each task's factors`() throws {
        let deltas = [[1.0, 2, 0, 1], [0.0, 1, 3, 0]]
        let inputs = [[1.0, 4], [2.0, 0]]
        let gradients = [[1.0, 1], [3.0, 5]]
        var found: [Double] = []
        for factors in 0..<2 {
            let (a, b) = (inputs[factors], gradients[factors])
            let penalty = try KroneckerPenalty(
                inputFactor: packed([[a[0], 0], [0, a[1]]]),
                gradientFactor: packed([[b[0], 0], [0, b[1]]])
            )
            for vector in 0..<2 {
                found.append(try penalty.value(of: Matrix(rows: 2, columns: 2, elements: deltas[vector])))
            }
        }
        // Column by column: every vector under one task's factors.
        expectClose(found, [21.0, 13, 6, 90], relative: 1e-12)
    }

    @Test func `a merge without tasks and a weight that is not finite are refused`() throws {
        let none = #expect(throws: TaskArithmeticError.self) {
            _ = try KroneckerMerge(outputCount: 1, inputCount: 1).finish(damping: Damping(.absolute, 0))
        }
        #expect(none?.description == "a merge of no task; expected at least one.")
        let weight = #expect(throws: TaskArithmeticError.self) {
            var merge = try KroneckerMerge(outputCount: 1, inputCount: 1)
            try merge.add(
                delta: Matrix(rows: 1, columns: 1),
                inputFactor: identity(1),
                gradientFactor: identity(1),
                lambda: .nan
            )
        }
        #expect(weight?.description == "the weight λ is nan; expected a finite number.")
        let shape = #expect(throws: TaskArithmeticError.self) {
            var merge = try KroneckerMerge(outputCount: 1, inputCount: 1)
            try merge.add(
                delta: Matrix(rows: 1, columns: 2),
                inputFactor: identity(2),
                gradientFactor: identity(1),
                lambda: 1
            )
        }
        #expect(shape?.description == "the product's columns: 1 elements; expected 2.")
    }

    @Test func `the methods carry the names of job files`() {
        #expect(MergeMethod.allCases.map(\.rawValue) == ["task_arithmetic", "linear", "weighted_average", "kfac"])
        #expect(MergeMethod.allCases.map(\.needsFactors) == [false, false, false, true])
    }
}
