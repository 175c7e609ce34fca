import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import TestSupport
import Testing

/// Square matrices as rows of rows, for formulas written out in plain loops.
enum DenseSquare {
    static func identity(_ order: Int) -> [[Double]] {
        (0..<order).map { row in (0..<order).map { $0 == row ? 1 : 0 } }
    }

    /// Rows of random numbers in fp32 precision, multiplied by their transpose.
    static func randomFactor(_ order: Int, seed: UInt64, rows count: Int? = nil) -> [[Double]] {
        var random = SplitMix64(seed: seed)
        let rows = (0..<(count ?? 2 * order)).map { _ in random.values(order) }
        return (0..<order).map { i in
            (0..<order).map { j in Double(Float(rows.reduce(0) { $0 + $1[i] * $1[j] })) }
        }
    }

    /// One row of whole numbers other than 0, multiplied by its transpose.
    static func wholeFactor(_ order: Int, _ random: inout SplitMix64) -> [[Double]] {
        let row = random.values(order).map { (2 * $0).rounded() + ($0 < 0 ? -1 : 1) }
        return row.map { left in row.map { left * $0 } }
    }

    static func product(_ left: [[Double]], _ right: [[Double]]) -> [[Double]] {
        left.map { row in
            right[0].indices.map { column in row.indices.reduce(0) { $0 + row[$1] * right[$1][column] } }
        }
    }

    static func transposed(_ matrix: [[Double]]) -> [[Double]] {
        matrix[0].indices.map { column in matrix.map { $0[column] } }
    }

    static func sum(_ matrices: [[[Double]]], times scales: [Double]) -> [[Double]] {
        matrices[0].indices.map { row in
            matrices[0][row].indices.map { column in
                matrices.indices.reduce(0) { $0 + scales[$1] * matrices[$1][row][column] }
            }
        }
    }

    static func damped(_ matrix: [[Double]], by amount: Double) -> [[Double]] {
        var damped = matrix
        for index in matrix.indices { damped[index][index] += amount }
        return damped
    }

    static func meanEigenvalue(_ matrix: [[Double]]) -> Double {
        matrix.indices.reduce(0) { $0 + matrix[$1][$1] } / Double(matrix.count)
    }

    /// matrix⁻¹ · right, by elimination with pivots.
    static func solve(_ matrix: [[Double]], _ right: [[Double]]) -> [[Double]] {
        var (matrix, right) = (matrix, right)
        for column in matrix.indices {
            let pivot = (column..<matrix.count).max { abs(matrix[$0][column]) < abs(matrix[$1][column]) } ?? column
            matrix.swapAt(column, pivot)
            right.swapAt(column, pivot)
            for row in matrix.indices where row != column {
                let factor = matrix[row][column] / matrix[column][column]
                for index in matrix.indices { matrix[row][index] -= factor * matrix[column][index] }
                for index in right[row].indices { right[row][index] -= factor * right[column][index] }
            }
        }
        return matrix.indices.map { row in right[row].map { $0 / matrix[row][row] } }
    }
}

/// One task of a layer's merge.
struct LayerTask {
    /// Row by row.
    var delta: [Double]
    var input: [[Double]]
    var gradient: [[Double]]
    var lambda: Double

    private var matrix: [[Double]] {
        gradient.indices.map { row in Array(delta[row * input.count..<(row + 1) * input.count]) }
    }

    /// The result of a merge.
    struct Merged {
        let delta: [Double]
        let input: FactorHealth
        let gradient: FactorHealth
        let norms: MergedNorms
    }

    /// Tasks with random factors and vectors of `[outputs, inputs]`.
    static func random(
        _ count: Int, outputs: Int, inputs: Int, seed: UInt64, rows: Int? = nil
    ) -> [LayerTask] {
        var random = SplitMix64(seed: seed)
        let weights = (0..<count).map { Double($0 + 1) }
        return weights.indices.map { task in
            let seed = seed + 10 * UInt64(task + 1)
            return LayerTask(
                delta: random.values(outputs * inputs),
                input: DenseSquare.randomFactor(inputs, seed: seed + 1, rows: rows),
                gradient: DenseSquare.randomFactor(outputs, seed: seed + 2, rows: rows),
                lambda: weights[task] / weights.reduce(0, +))
        }
    }

    private static func packed(_ square: [[Double]]) throws -> PackedSymmetricMatrix<Float> {
        try PackedSymmetricMatrix(
            dimension: square.count, elements: square.indices.flatMap { row in square[row][...row].map { Float($0) } })
    }

    /// The merge under test.
    static func merged(_ tasks: [LayerTask], damping: Damping) throws -> Merged {
        let (outputs, inputs) = (tasks[0].gradient.count, tasks[0].input.count)
        let problem = MergeProblem(
            shape: .layer(outputs: .full(outputs), inputs: .full(inputs)),
            models: tasks.map { MergedModel(lambda: $0.lambda) }, damping: damping)
        var merge = try KfacMerge(problem)
        while let pass = merge.nextPass {
            for (task, model) in zip(tasks, problem.models) {
                let factors = TaskFactors.layer(
                    LayerFactors(input: .single(try packed(task.input)), gradient: .single(try packed(task.gradient))))
                if pass == .factors {
                    try merge.addFactors(factors, of: model)
                } else {
                    try merge.add(
                        Matrix(rows: outputs, columns: inputs, elements: task.delta), factors: factors, of: model)
                }
            }
            try merge.endPass()
        }
        let layer = try merge.finish()
        let (healths, found) = (layer.healths, layer.norms)
        let norms = try #require(found)
        return Merged(delta: layer.intoValues().elements, input: healths[0], gradient: healths[1], norms: norms)
    }

    /// Σ λ_t Δ_t.
    static func mean(_ tasks: [LayerTask]) -> [Double] {
        tasks[0].delta.indices.map { index in tasks.reduce(0) { $0 + $1.lambda * $1.delta[index] } }
    }

    /// The formula of DESIGN 2.5: (B̄+γ_B I)⁻¹ (Σ λ_t (B_t+γ_B I) Δ_t (A_t+γ_A I)) (Ā+γ_A I)⁻¹.
    static func formula(_ tasks: [LayerTask], input: Double, gradient: Double) -> [Double] {
        let lambdas = tasks.map(\.lambda)
        let inputMean = DenseSquare.sum(tasks.map(\.input), times: lambdas)
        let gradientMean = DenseSquare.sum(
            tasks.map(\.gradient), times: lambdas.map { _ in 1 / Double(tasks.count) })
        let products = tasks.map { task in
            DenseSquare.product(
                DenseSquare.product(DenseSquare.damped(task.gradient, by: gradient), task.matrix),
                DenseSquare.damped(task.input, by: input))
        }
        let left = DenseSquare.solve(
            DenseSquare.damped(gradientMean, by: gradient), DenseSquare.sum(products, times: lambdas))
        let right = DenseSquare.solve(DenseSquare.damped(inputMean, by: input), DenseSquare.transposed(left))
        return DenseSquare.transposed(right).flatMap { $0 }
    }
}
