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

    /// DESIGN 2.5: tasks with inputs in disjoint subspaces keep their full vectors as the damping goes to 0.
    @Test func `tasks in disjoint subspaces keep their full vectors`() throws {
        let angle = 0.6
        let (c, s) = (0.8, angle)
        // Input coordinates 0 and 1, rotated; task t has inputs only along the t-th rotated axis.
        let axes = [[c, s], [-s, c]]
        var random = SplitMix64(seed: 4)
        var expected = [Double](repeating: 0, count: 6)
        var tasks: [LayerTask] = []
        for axis in axes {
            let output = random.values(3)
            let delta = output.flatMap { value in axis.map { value * $0 } }
            for index in delta.indices { expected[index] += delta[index] }
            tasks.append(
                LayerTask(
                    delta: delta, input: axis.map { x in axis.map { x * $0 } }, gradient: DenseSquare.identity(3),
                    lambda: 0.5))
        }
        let merged = try LayerTask.merged(tasks, damping: Damping(.relative, 1e-9))
        expectClose(merged.delta, expected, absolute: 1e-6)
    }

    /// DESIGN 2.5: if the objective Σ λ_t tr(B_t(Δ−Δ_t)A_t(Δ−Δ_t)ᵀ) is a single Kronecker product (equal B_t), the
    /// closed form is its minimiser: the gradient Σ λ_t B_t(Δ − Δ_t)A_t vanishes.
    @Test func `with equal B the closed form is the minimiser`() throws {
        var random = SplitMix64(seed: 5)
        let deltas = [random.values(12), random.values(12), random.values(12)]
        let lambdas = [0.2, 0.3, 0.5]
        let gradient = DenseSquare.randomFactor(3, seed: 6)
        let tasks = (0..<3).map { task in
            LayerTask(
                delta: deltas[task], input: DenseSquare.randomFactor(4, seed: 10 + UInt64(task)), gradient: gradient,
                lambda: lambdas[task])
        }
        let merged = try LayerTask.merged(tasks, damping: Damping(.absolute, 0)).delta
        var slope = [Double](repeating: 0, count: 12)
        for task in 0..<3 {
            let penalty = try KroneckerPenalty(
                inputFactor: packed(tasks[task].input), gradientFactor: packed(gradient))
            let difference = zip(merged, deltas[task]).map { $0 - $1 }
            let own = try penalty.gradient(at: Matrix(rows: 3, columns: 4, elements: difference)).elements
            for index in own.indices { slope[index] += lambdas[task] * own[index] }
        }
        expectClose(slope, [Double](repeating: 0, count: 12), absolute: 1e-10)
    }

    /// DESIGN 2.5: one-dimensional parameters, δ = (Σ λF + γI)⁻¹ Σ λ (F_t + γI) δ_t.
    @Test func `a one-dimensional parameter is solved with its full blocks`() throws {
        var merge = try OneSidedMerge(count: 2)
        for (delta, block) in [([1.0, 5.0], [3.0, 0]), ([7.0, 2.0], [1.0, 4.0])] {
            try merge.add(
                delta: Matrix(rows: 1, columns: 2, elements: delta),
                factor: .single(packed([[block[0], 0], [0, block[1]]])),
                lambda: 0.5
            )
        }
        let result = try merge.finish(damping: Damping(.absolute, 0.5))
        // Coordinate 0: (0.5·3.5·1 + 0.5·1.5·7)/(2 + 0.5), coordinate 1: (0.5·0.5·5 + 0.5·4.5·2)/(2 + 0.5).
        expectClose(result.values.elements, [2.8, 2.3], relative: 1e-12)
        let mean = 0.5 * (64.0 + 49).squareRoot()
        expectClose(result.norms?.merged ?? .nan, (2.8 * 2.8 + 2.3 * 2.3).squareRoot(), relative: 1e-12)
        expectClose(result.norms?.mean ?? .nan, mean, relative: 1e-12)
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
            _ = try KroneckerMerge(
                means: KroneckerMeans(outputs: .full(1), inputs: .full(1)), damping: Damping(.absolute, 0))
        }
        #expect(none?.description == "a merge of no task; expected at least one.")
        let noBlock = #expect(throws: TaskArithmeticError.self) {
            _ = try OneSidedMerge(count: 1).finish(damping: Damping(.absolute, 0))
        }
        #expect(noBlock == none)
        let weight = #expect(throws: TaskArithmeticError.self) {
            var means = try KroneckerMeans(outputs: .full(1), inputs: .full(1))
            try means.add(LayerFactors(input: .single(packed([[1]])), gradient: .single(packed([[1]]))), lambda: .nan)
        }
        #expect(weight?.description == "the weight λ is nan; expected a finite number.")
    }

    @Test func `shapes that are not the layer's are refused`() throws {
        let factor = #expect(throws: TaskArithmeticError.self) {
            var means = try KroneckerMeans(outputs: .full(1), inputs: .full(1))
            try means.add(
                LayerFactors(input: .single(packed(DenseSquare.identity(2))), gradient: .single(packed([[1]]))),
                lambda: 1)
        }
        #expect(factor?.description == "the side of an added matrix: 2 elements; expected 1.")
        let delta = #expect(throws: TaskArithmeticError.self) {
            var means = try KroneckerMeans(outputs: .full(1), inputs: .full(1))
            try means.add(LayerFactors(input: .single(packed([[1]])), gradient: .single(packed([[1]]))), lambda: 1)
            var merge = try KroneckerMerge(means: means, damping: Damping(.absolute, 0))
            try merge.add(
                delta: Matrix(rows: 1, columns: 2),
                LayerFactors(input: .single(packed([[1]])), gradient: .single(packed([[1]]))))
        }
        #expect(delta?.description == "the symmetric factor's rows: 1 elements; expected 2.")
    }
}
