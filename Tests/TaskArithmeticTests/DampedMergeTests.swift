import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import TestSupport
import Testing

/// Damping of a merge is on both sides (DESIGN 2.5), so it matters only where the factors determine nothing.
struct DampedMergeTests {
    private static let rules: [(DampingRule, Double)] = [
        (.relative, 0.1), (.relative, 0), (.pi, 0.01), (.absolute, 0.3),
    ]

    /// The damping of a layer of the given shape.
    private func amounts(_ tasks: [LayerTask], _ damping: Damping) -> (input: Double, gradient: Double) {
        let input = DenseSquare.sum(tasks.map(\.input), times: tasks.map(\.lambda))
        let gradient = DenseSquare.sum(tasks.map(\.gradient), times: tasks.map { _ in 1 / Double(tasks.count) })
        func amount(_ matrix: [[Double]]) -> Double {
            damping.amount(
                side: FactorScale(
                    trace: DenseSquare.meanEigenvalue(matrix) * Double(matrix.count), dimension: matrix.count))
        }
        return (amount(input), amount(gradient))
    }

    @Test(arguments: [(3, 5), (5, 3), (4, 4), (1, 6), (6, 1), (1, 1)], Self.rules)
    func `the merge is the formula, whichever side is larger`(
        shape: (outputs: Int, inputs: Int), rule: (DampingRule, Double)
    ) throws {
        let damping = try Damping(rule.0, rule.1)
        let tasks = LayerTask.random(3, outputs: shape.outputs, inputs: shape.inputs, seed: 1)
        let (input, gradient) = amounts(tasks, damping)
        let merged = try LayerTask.merged(tasks, damping: damping)
        expectClose(
            merged.delta, LayerTask.formula(tasks, input: input, gradient: gradient), relative: 1e-9, absolute: 1e-9)
        expectClose(merged.norms.merged, norm(merged.delta), relative: 1e-12)
        expectClose(merged.norms.mean, norm(LayerTask.mean(tasks)), relative: 1e-12)
    }

    private func norm(_ vector: [Double]) -> Double { vector.reduce(0) { $0 + $1 * $1 }.squareRoot() }

    @Test func `a task without curvature follows the formula too`() throws {
        var tasks = LayerTask.random(3, outputs: 3, inputs: 4, seed: 2)
        tasks[0].input = tasks[0].input.map { $0.map { _ in 0 } }
        tasks[0].gradient = tasks[0].gradient.map { $0.map { _ in 0 } }
        let damping = try Damping(.relative, 0.1)
        let (input, gradient) = amounts(tasks, damping)
        expectClose(
            try LayerTask.merged(tasks, damping: damping).delta,
            LayerTask.formula(tasks, input: input, gradient: gradient), relative: 1e-9, absolute: 1e-9)
    }

    /// Both sides of the formula have the ladder's final damping.
    @Test(arguments: [(4, 7), (7, 4)])
    func `damping that had to be raised is raised in the numerator too`(shape: (outputs: Int, inputs: Int)) throws {
        // With one row each, two tasks leave both sides rank-deficient; whole numbers are exact in fp32.
        var tasks = LayerTask.random(2, outputs: shape.outputs, inputs: shape.inputs, seed: 3)
        var random = SplitMix64(seed: 30)
        for index in tasks.indices {
            tasks[index].input = DenseSquare.wholeFactor(shape.inputs, &random)
            tasks[index].gradient = DenseSquare.wholeFactor(shape.outputs, &random)
        }
        let merged = try LayerTask.merged(tasks, damping: Damping(.absolute, 0))
        #expect(merged.input.damping > 0)
        #expect(merged.gradient.damping > 0)
        let expected = LayerTask.formula(tasks, input: merged.input.damping, gradient: merged.gradient.damping)
        // Two inverses of condition 1e7 amplify fp64's 1e-16 to this error.
        expectClose(merged.delta, expected, absolute: 1e-2 * norm(expected))
        let kept = try LayerTask.merged(tasks, damping: Damping(.absolute, 1e-4))
        expectClose(
            kept.delta, LayerTask.formula(tasks, input: 1e-4, gradient: 1e-4), absolute: 1e-6 * norm(kept.delta))
    }

    @Test(arguments: Self.rules)
    func `identical factors give the weighted mean, of any rank`(rule: (DampingRule, Double)) throws {
        for rows in [1, 20] {
            var tasks = LayerTask.random(3, outputs: 4, inputs: 6, seed: 4, rows: rows)
            for index in tasks.indices {
                (tasks[index].input, tasks[index].gradient) = (tasks[0].input, tasks[0].gradient)
            }
            let merged = try LayerTask.merged(tasks, damping: Damping(rule.0, rule.1))
            expectClose(merged.delta, LayerTask.mean(tasks), absolute: 1e-8)
        }
    }

    @Test(arguments: Self.rules)
    func `a layer whose gradients or inputs are all zero takes the weighted mean`(rule: (DampingRule, Double)) throws {
        var tasks = LayerTask.random(3, outputs: 4, inputs: 6, seed: 5)
        for index in tasks.indices { tasks[index].gradient = tasks[index].gradient.map { $0.map { _ in 0 } } }
        let damping = try Damping(rule.0, rule.1)
        #expect(try LayerTask.merged(tasks, damping: damping).delta == LayerTask.mean(tasks))
        tasks = LayerTask.random(3, outputs: 4, inputs: 6, seed: 6)
        for index in tasks.indices { tasks[index].input = tasks[index].input.map { $0.map { _ in 0 } } }
        #expect(try LayerTask.merged(tasks, damping: damping).delta == LayerTask.mean(tasks))
    }

    @Test(arguments: Self.rules)
    func `a dead input keeps the mean's column, a dead output the mean's row`(rule: (DampingRule, Double)) throws {
        var tasks = LayerTask.random(3, outputs: 4, inputs: 6, seed: 7)
        for index in tasks.indices {
            tasks[index].input = without(coordinate: 3, tasks[index].input)
            tasks[index].gradient = without(coordinate: 1, tasks[index].gradient)
        }
        let merged = try LayerTask.merged(tasks, damping: Damping(rule.0, rule.1)).delta
        let mean = LayerTask.mean(tasks)
        for index in mean.indices where index % 6 == 3 || index / 6 == 1 {
            #expect(merged[index] == mean[index], "element \(index)")
        }
        #expect(merged != mean)
    }

    private func without(coordinate: Int, _ matrix: [[Double]]) -> [[Double]] {
        matrix.indices.map { row in
            matrix.indices.map { row == coordinate || $0 == coordinate ? 0 : matrix[row][$0] }
        }
    }

    @Test(arguments: [(DampingRule.relative, 0.1), (.relative, 1e-4), (.pi, 0.01)])
    func `gradients or inputs in another unit change nothing`(rule: (DampingRule, Double)) throws {
        let damping = try Damping(rule.0, rule.1)
        let tasks = LayerTask.random(3, outputs: 4, inputs: 6, seed: 8)
        let merged = try LayerTask.merged(tasks, damping: damping).delta
        for (input, gradient) in [(0x1p-40, 1.0), (1, 0x1p-80), (0x1p60, 0x1p-60)] {
            let scaled = tasks.map { task in
                var scaled = task
                scaled.input = task.input.map { $0.map { $0 * input } }
                scaled.gradient = task.gradient.map { $0.map { $0 * gradient } }
                return scaled
            }
            expectClose(try LayerTask.merged(scaled, damping: damping).delta, merged, absolute: 1e-12)
        }
    }

    // MARK: - Parameters outside layers

    private func merged(
        _ tasks: [(delta: [Double], block: [Float], lambda: Double)], damping: Damping
    ) throws -> [Double] {
        var merge = try OneSidedMerge(count: tasks[0].delta.count)
        for task in tasks {
            try merge.add(
                delta: Matrix(rows: 1, columns: task.delta.count, elements: task.delta),
                factor: .single(PackedSymmetricMatrix(dimension: task.delta.count, elements: task.block)),
                lambda: task.lambda)
        }
        return try merge.finish(damping: damping).values.elements
    }

    @Test(arguments: Self.rules)
    func `a parameter takes the mean where its blocks are zero or equal`(rule: (DampingRule, Double)) throws {
        let damping = try Damping(rule.0, rule.1)
        let deltas: [[Double]] = [[1, 5, -2], [7, 2, 4]]
        func tasks(_ blocks: [[Float]]) -> [(delta: [Double], block: [Float], lambda: Double)] {
            zip(deltas, blocks).map { (delta: $0, block: $1, lambda: $0[0] == 1 ? 0.25 : 0.75) }
        }
        let mean = [0.25 + 7 * 0.75, 5 * 0.25 + 2 * 0.75, -2 * 0.25 + 4 * 0.75]
        let zeros = [Float](repeating: 0, count: 6)
        #expect(try merged(tasks([zeros, zeros]), damping: damping) == mean)
        // The second coordinate has no curvature in any task; the others have some.
        let flat = try merged(tasks([[2, 0, 0, 1, 0, 3], [1, 0, 0, 0.5, 0, 4]]), damping: damping)
        #expect(flat[1] == mean[1])
        #expect(flat[0] != mean[0])
        let equal = [Float](arrayLiteral: 2, 1, 3, 0, 1, 4)
        expectClose(try merged(tasks([equal, equal]), damping: damping), mean, absolute: 1e-14)
    }
}
