import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import TestSupport
import Testing

/// `fisher`, `kfac_exact` and `disentangle`: what they minimise, against dense solutions and documented values.
struct CurvatureMergeTests {
    private static func tasks(
        _ count: Int, _ outputs: Int, _ inputs: Int, seed: UInt64, rows: Int? = nil
    ) -> [StreamedMerge.Model] {
        LayerTask.random(count, outputs: outputs, inputs: inputs, seed: seed, rows: rows).map { task in
            StreamedMerge.Model(
                delta: (0..<outputs).map { Array(task.delta[$0 * inputs..<($0 + 1) * inputs]) },
                lambda: task.lambda, input: task.input, gradient: task.gradient)
        }
    }

    private static func mean(_ tasks: [StreamedMerge.Model]) -> [[Double]] {
        DenseSquare.sum(tasks.map(\.delta), times: tasks.map { $0.lambda * $0.weight })
    }

    private static func image(_ task: StreamedMerge.Model, _ matrix: [[Double]]) -> [[Double]] {
        DenseSquare.product(DenseSquare.product(task.gradient ?? [], matrix), task.input ?? [])
    }

    /// The matrix of X ↦ Σ c_t B_t X A_t on row-major X.
    private static func kronecker(_ terms: [(scale: Double, left: [[Double]], right: [[Double]])]) -> [[Double]] {
        let (rows, columns) = (terms[0].left.count, terms[0].right.count)
        return (0..<rows * columns).map { target in
            (0..<rows * columns).map { source in
                terms.reduce(0) {
                    $0 + $1.scale * $1.left[target / columns][source / columns]
                        * $1.right[source % columns][target % columns]
                }
            }
        }
    }

    private static func solve(_ system: [[Double]], _ right: [[Double]]) -> [[Double]] {
        let solution = DenseSquare.solve(system, right.flatMap { $0 }.map { [$0] }).map { $0[0] }
        let columns = right[0].count
        return right.indices.map { Array(solution[$0 * columns..<($0 + 1) * columns]) }
    }

    // MARK: - fisher

    @Test func `fisher has its documented values`() throws {
        let merge = StreamedMerge(method: .fisher)
        expectClose(try merge(Documented.layers).rows, [[1.5, 0.5], [1.0 / 3, 2.2]], share: 1e-14)
    }

    @Test func `fisher is the element's weighted mean, and the mean where no task has curvature`() throws {
        var tasks = Self.tasks(3, 4, 5, seed: 1)
        for index in tasks.indices { tasks[index].gradient?[2][2] = 0 }
        tasks[1].weight = -2
        let merged = try StreamedMerge(method: .fisher)(tasks).rows
        let mean = Self.mean(tasks)
        for row in 0..<4 {
            for column in 0..<5 {
                let shares = tasks.map { task in
                    task.lambda * (task.gradient?[row][row] ?? 0) * (task.input?[column][column] ?? 0)
                }
                let values = tasks.map { $0.weight * $0.delta[row][column] }
                let expected =
                    row == 2
                    ? mean[row][column]
                    : zip(shares, values).reduce(0) { $0 + $1.0 * $1.1 } / shares.reduce(0, +)
                expectClose(merged[row][column], expected, absolute: 1e-13)
            }
        }
        var parameters = tasks
        for index in parameters.indices { parameters[index].delta = [tasks[index].delta[0]] }
        let parameter = try StreamedMerge(method: .fisher).parameter(parameters).rows[0]
        for column in 0..<5 {
            let shares = tasks.map { $0.lambda * ($0.input?[column][column] ?? 0) }
            let values = tasks.map { $0.weight * $0.delta[0][column] }
            expectClose(
                parameter[column], zip(shares, values).reduce(0) { $0 + $1.0 * $1.1 } / shares.reduce(0, +),
                absolute: 1e-13)
        }
    }

    // MARK: - kfac_exact

    private static let exact = StreamedMerge(
        method: .kfacExact, arguments: ["tolerance": .number(1e-12)], damping: (.relative, 0.1))

    @Test func `kfac_exact has its documented values`() throws {
        let merged = try Self.exact(Documented.layers)
        expectClose(
            merged.rows, [[1.790361445783, 0.221686746988], [-0.134939759036, 2.503614457831]], share: 1e-10)
        #expect((merged.solution?.residual ?? 1) <= 1e-12)
        #expect((merged.solution?.iterations ?? 0) > 0)
        #expect(merged.healths.count == 2)
    }

    @Test(arguments: [(3, 5), (5, 3), (4, 4), (1, 6), (6, 1)])
    func `kfac_exact satisfies the normal equations, as a dense solution does`(shape: (Int, Int)) throws {
        var tasks = Self.tasks(3, shape.0, shape.1, seed: 2)
        tasks[2].weight = -0.5
        let right = DenseSquare.sum(
            tasks.map { Self.image($0, $0.delta) }, times: tasks.map { $0.lambda * $0.weight })
        let system = Self.kronecker(tasks.map { ($0.lambda, $0.gradient ?? [], $0.input ?? []) })
        expectClose(try Self.exact(tasks).rows, Self.solve(system, right), share: 1e-8)
        let merged = try StreamedMerge(method: .kfacExact, damping: (.relative, 0.1))(tasks)
        let found = DenseSquare.sum(tasks.map { Self.image($0, merged.rows) }, times: tasks.map(\.lambda))
        let lack = DenseSquare.norm(DenseSquare.sum([right, found], times: [1, -1])) / DenseSquare.norm(right)
        #expect(lack <= 1e-6)
        expectClose(merged.solution?.residual ?? .nan, lack, absolute: 1e-12)
    }

    /// The ridge pulls to the weighted mean: ε = ridge · Σ λ_t mean diag B_t · mean diag A_t.
    @Test func `a ridge pulls kfac_exact to the weighted mean`() throws {
        let tasks = Self.tasks(3, 3, 4, seed: 3, rows: 1)
        let ridge =
            0.05
            * tasks.reduce(0) { sum, task in
                sum + task.lambda * DenseSquare.meanEigenvalue(task.gradient ?? [])
                    * DenseSquare.meanEigenvalue(task.input ?? [])
            }
        let right = DenseSquare.sum(
            tasks.map { Self.image($0, $0.delta) } + [Self.mean(tasks)], times: tasks.map(\.lambda) + [ridge])
        let system = Self.kronecker(
            tasks.map { ($0.lambda, $0.gradient ?? [], $0.input ?? []) }
                + [(ridge, DenseSquare.identity(3), DenseSquare.identity(4))])
        var merge = Self.exact
        merge.arguments["ridge"] = .number(0.05)
        expectClose(try merge(tasks).rows, Self.solve(system, right), share: 1e-9)
    }

    @Test func `equal vectors or equal factors need no step, and dead coordinates keep the mean`() throws {
        var tasks = Self.tasks(3, 4, 5, seed: 4)
        var equal = tasks
        for index in equal.indices { (equal[index].input, equal[index].gradient) = (tasks[0].input, tasks[0].gradient) }
        let merge = StreamedMerge(method: .kfacExact, damping: (.relative, 0.1))
        for models in [
            equal,
            tasks.map { task in
                StreamedMerge.Model(
                    delta: tasks[0].delta, lambda: task.lambda, input: task.input, gradient: task.gradient)
            },
        ] {
            let merged = try merge(models)
            expectClose(merged.rows, Self.mean(models), share: 1e-14)
            #expect(merged.solution?.iterations == 0)
        }
        for index in tasks.indices {
            for other in 0..<5 {
                tasks[index].input?[3][other] = 0
                tasks[index].input?[other][3] = 0
            }
        }
        let (merged, mean) = (try merge(tasks).rows, Self.mean(tasks))
        for row in 0..<4 { #expect(merged[row][3] == mean[row][3]) }
        for index in tasks.indices { tasks[index].delta = DenseSquare.zeros(4, 5) }
        #expect(try merge(tasks).rows == DenseSquare.zeros(4, 5))
        for index in tasks.indices { tasks[index].gradient = DenseSquare.zeros(4, 4) }
        #expect(try merge(tasks).rows == DenseSquare.zeros(4, 5))
    }

    @Test func `the iteration ends at its bound, and says what the equations lack`() throws {
        let tasks = Self.tasks(3, 6, 7, seed: 5)
        var merge = Self.exact
        merge.arguments["iterations"] = .count(2)
        let merged = try merge(tasks)
        #expect(merged.solution?.iterations == 2)
        #expect((merged.solution?.residual ?? 0) > 1e-12)
        // The means, the vectors, the residual, two steps and the last residual.
        #expect(merged.passes == [.factors, [.values, .factors], .factors, .factors, .factors, .factors])
        merge.arguments["iterations"] = .count(0)
        expectClose(try merge(tasks).rows, Self.mean(tasks), share: 1e-15)
    }

    // MARK: - disentangle

    /// The dense minimiser of tr(B(τ−Δ)A(τ−Δ)ᵀ) + β tr((B'+γ_B I)τ(A'+γ_A I)τᵀ) for each task, summed.
    ///
    /// The relative damping is 1e-3.
    private static func disentangled(_ tasks: [StreamedMerge.Model], _ strength: Double) -> [[Double]] {
        var expected = DenseSquare.zeros(tasks[0].delta.count, tasks[0].delta[0].count)
        for (own, task) in tasks.enumerated() {
            let others = tasks.indices.filter { $0 != own }.map { tasks[$0] }
            let input = DenseSquare.sum(
                others.map { $0.input ?? [] }, times: others.map { $0.lambda / (1 - task.lambda) })
            let gradient = DenseSquare.sum(others.map { $0.gradient ?? [] }, times: others.map { _ in 1 })
            func damped(_ matrix: [[Double]], _ own: [[Double]]) -> [[Double]] {
                DenseSquare.damped(
                    matrix, by: 1e-3 * DenseSquare.meanEigenvalue(DenseSquare.sum([matrix, own], times: [1, 1])))
            }
            let (a, b) = (task.input ?? [], task.gradient ?? [])
            let system = kronecker([(1, b, a), (strength, damped(gradient, b), damped(input, a))])
            let solution = solve(system, image(task, task.delta))
            expected = DenseSquare.sum([expected, solution], times: [1, task.weight])
        }
        return expected
    }

    @Test(arguments: [(3, 5), (5, 3), (1, 4), (4, 1)], [0.1, 1, 20])
    func `disentangle is the dense minimiser`(shape: (Int, Int), strength: Double) throws {
        var tasks = Self.tasks(3, shape.0, shape.1, seed: 6)
        tasks[1].weight = -2
        let expected = Self.disentangled(tasks, strength)
        let merge = StreamedMerge(
            method: .disentangle, modelArguments: ["beta": .number(strength)], damping: (.relative, 1e-3))
        expectClose(try merge(tasks).rows, expected, share: 1e-8)
    }

    /// The sum of the task with the largest condition number, of each side.
    @Test func `disentangle reports the health of the sums that it factorizes`() throws {
        let tasks = Self.tasks(3, 4, 5, seed: 6)
        func merged(_ strength: Double) throws -> [FactorHealth] {
            try StreamedMerge(
                method: .disentangle, modelArguments: ["beta": .number(strength)], damping: (.relative, 1e-3)
            )(tasks).healths
        }
        let healths = try merged(0.1)
        let inputs = tasks.indices.map { own in
            let others = tasks.indices.filter { $0 != own }.map { tasks[$0] }
            let rest = DenseSquare.sum(
                others.map { $0.input ?? [] }, times: others.map { $0.lambda / (1 - tasks[own].lambda) })
            return DenseSquare.sum([rest, tasks[own].input ?? []], times: [1, 1])
        }
        let gradients = [DenseSquare.sum(tasks.map { $0.gradient ?? [] }, times: tasks.map { _ in 1 })]
        #expect(healths.map(\.dimension) == [5, 4])
        for (health, sums) in zip(healths, [inputs, gradients]) {
            let expected = sums.map { sum -> (mean: Double, condition: Double) in
                let mean = DenseSquare.meanEigenvalue(sum)
                return (mean, Self.condition(DenseSquare.damped(sum, by: 1e-3 * mean)))
            }
            let worst = try #require(expected.max { $0.condition < $1.condition })
            expectClose(health.meanDiagonal, worst.mean, relative: 1e-6)
            expectClose(health.requestedDamping, 1e-3 * worst.mean, relative: 1e-6)
            #expect(health.damping == health.requestedDamping && health.attempts == 1 && health.remedy == .none)
            // LAPACK estimates it from below.
            #expect(health.conditionEstimate <= worst.condition * (1 + 1e-6))
            #expect(health.conditionEstimate >= worst.condition / 3)
        }
        // Nothing is factorized.
        #expect(try merged(0) == [])
    }

    /// ‖M‖₁ ‖M⁻¹‖₁ of a symmetric matrix.
    private static func condition(_ matrix: [[Double]]) -> Double {
        func norm(_ matrix: [[Double]]) -> Double { matrix.map { $0.reduce(0) { $0 + abs($1) } }.max() ?? 0 }
        return norm(matrix) * norm(DenseSquare.solve(matrix, DenseSquare.identity(matrix.count)))
    }

    /// Factors of fewer rows than columns, with digits that fp32 drops: rounded to fp32 they have negative eigenvalues.
    private static var fineTasks: [StreamedMerge.Model] {
        var random = SplitMix64(seed: 11)
        func gram(_ order: Int) -> [[Double]] {
            let rows = (0..<2).map { _ in random.values(order) }
            return (0..<order).map { row in
                (0..<order).map { column in rows.reduce(0) { $0 + $1[row] * $1[column] } }
            }
        }
        return tasks(3, 4, 6, seed: 11).map { task in
            var task = task
            (task.input, task.gradient) = (gram(6), gram(4))
            return task
        }
    }

    @Test func `disentangle keeps the digits of factors in fp64`() throws {
        let expected = Self.disentangled(Self.fineTasks, 0.1)
        var merge = StreamedMerge(
            method: .disentangle, modelArguments: ["beta": .number(0.1)], damping: (.relative, 1e-3))
        let rounded = try merge(Self.fineTasks).rows
        merge.readsDouble = true
        expectClose(try merge(Self.fineTasks).rows, expected, share: 1e-8)
        let lost = DenseSquare.sum([rounded, expected], times: [1, -1])
        #expect(DenseSquare.norm(lost) > 1e-6 * DenseSquare.norm(expected))
    }

    @Test(arguments: [MergeMethod.kfac, .kfacExact, .regmean, .fisher, .disentangle])
    func `factors of fp64 merge as those of fp32 that they equal, and no digit is dropped`(method: MergeMethod) throws {
        let tasks = Self.tasks(3, 4, 5, seed: 12)
        let single = StreamedMerge(method: method, damping: (.relative, 0.1))
        var double = single
        double.readsDouble = true
        let merged = try single(tasks).rows
        #expect(try double(tasks).rows == merged)
        #expect(try double.parameter(tasks.map(Self.row)).rows == single.parameter(tasks.map(Self.row)).rows)
        var finer = tasks
        for index in 0..<5 { finer[0].input?[index][index] *= 1 + 0x1p-30 }
        #expect(try single(finer).rows == merged)
        let changed = try double(finer).rows
        #expect(changed != merged)
        expectClose(changed, merged, share: 1e-8)
    }

    /// A parameter with the first row of a layer's vector.
    private static func row(_ task: StreamedMerge.Model) -> StreamedMerge.Model {
        var row = task
        row.delta = [task.delta[0]]
        return row
    }

    @Test func `disentangle solves a parameter by its full blocks`() throws {
        var tasks = Self.tasks(3, 1, 5, seed: 7)
        tasks[0].weight = 3
        var expected = DenseSquare.zeros(1, 5)
        for (own, task) in tasks.enumerated() {
            let others = tasks.indices.filter { $0 != own }.map { tasks[$0] }
            let rest = DenseSquare.sum(
                others.map { $0.input ?? [] }, times: others.map { $0.lambda / (1 - task.lambda) })
            let block = task.input ?? []
            let damping = 1e-3 * DenseSquare.meanEigenvalue(DenseSquare.sum([rest, block], times: [1, 1]))
            let system = DenseSquare.sum([block, DenseSquare.damped(rest, by: damping)], times: [1, 0.4])
            let solution = DenseSquare.solve(
                system, DenseSquare.transposed(DenseSquare.product(task.delta, block)))
            expected = DenseSquare.sum([expected, DenseSquare.transposed(solution)], times: [1, task.weight])
        }
        let merge = StreamedMerge(
            method: .disentangle, modelArguments: ["beta": .number(0.4)], damping: (.relative, 1e-3))
        expectClose(try merge.parameter(tasks).rows, expected, share: 1e-9)
    }

    @Test func `without a penalty, or without other models, disentangle changes no bit`() throws {
        let tasks = Self.tasks(3, 4, 5, seed: 8)
        let none = StreamedMerge(
            method: .disentangle, modelArguments: ["beta": .number(0)], damping: (.relative, 0.1))
        var sum = DenseSquare.zeros(4, 5)
        for task in tasks { sum = DenseSquare.sum([sum, task.delta], times: [1, 1]) }
        #expect(try none(tasks).rows == sum)
        var alone = tasks[0]
        alone.lambda = 1
        let merge = StreamedMerge(method: .disentangle, damping: (.relative, 0.1))
        #expect(try merge([alone]).rows == alone.delta)
        let zeros = tasks.map { task in
            var task = task
            task.delta = DenseSquare.zeros(4, 5)
            return task
        }
        #expect(try merge(zeros).elements.allSatisfy { $0 == 0 })
    }
}
