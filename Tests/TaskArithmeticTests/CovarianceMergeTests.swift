import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import TestSupport
import Testing

/// The methods of the covariance family, `Δ = (Σ Δ_t Â_t)(Σ Â_t)⁺`, against documented values and their identities.
struct CovarianceMergeTests {
    /// The methods that estimate Â from the vectors, without a ridge.
    private static let estimating: [StreamedMerge] = [
        StreamedMerge(method: .actmat), StreamedMerge(method: .wudi, arguments: ["ridge": .number(0)]),
    ]
    /// Of the shapes, `[2, 9]` uses the small side.
    private static let shapes = [(5, 4), (4, 5), (2, 9), (3, 6), (1, 7), (6, 1)]

    private static func vectors(_ count: Int, _ shape: (Int, Int), seed: UInt64 = 1) -> [[[Double]]] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { _ in DenseSquare.random(shape.0, shape.1, &random) }
    }

    // MARK: - Documented values

    /// With a share of 0 each element is a mean by its own input: (2·1 + 3·3)/5 is the last.
    private static let regmeanValues: [(Double, [[Double]])] = [
        (1, [[1.785714285714, 0.642857142857], [-0.071428571429, 2.214285714286]]),
        (0.5, [[1.542372881356, 0.745762711864], [0.135593220339, 2.186440677966]]),
        (0, [[4.0 / 3, 0.8], [1.0 / 3, 2.2]]),
    ]

    @Test(arguments: Self.regmeanValues)
    func `regmean has its documented values`(share: Double, expected: [[Double]]) throws {
        let merge = StreamedMerge(method: .regmean, arguments: ["reduce_non_diagonal_ratio": .number(share)])
        expectClose(try merge(Documented.layers).rows, expected, share: 1e-11)
    }

    @Test func `actmat and tact have their documented values`() throws {
        expectClose(
            try StreamedMerge(method: .actmat)(Documented.vectors),
            [[2.033898305085, 0.559322033898], [0.830508474576, 2.203389830508]], share: 1e-11)
        expectClose(
            try StreamedMerge(method: .tact)([[[1, 2], [0.5, -3]], [[2, 0.25], [1, -1.5]]]),
            [[2, 1.741803278689], [1, -2.778688524590]], share: 1e-11)
    }

    /// Computed by NumPy from the authors' formulas; the sizes of the second and of the third differ much.
    @Test func `ace has its documented values`() throws {
        expectClose(
            try StreamedMerge(method: .ace)(Documented.vectors),
            [[1.730331846478, -1.245061516592], [-1.730331846478, 1.245061516592]], share: 1e-11)
        let large: [[Double]] = [[1, 2, 0, 1], [0, 1, -1, 2], [3, 0, 1, 1], [1, 1, 2, -2]]
        let small: [[Double]] = [[0.1, 0, 0, 0.2], [0, 0.05, -0.1, 0], [0, 0.1, 0.1, 0], [0.2, 0, 0, 0.1]]
        let merged = [
            [-0.5017148957075, 0.8366955733309, -0.7474092684813, 1.1009126255944],
            [-1.4898096969034, 1.5777727043112, -2.033525674159, 2.6360345362849],
            [0.7897131685149, -0.8027653396075, 0.6856642788811, -0.6488859220171],
            [1.2497934685417, -1.667178930418, 2.1636711729755, -3.181636109195],
        ]
        expectClose(try StreamedMerge(method: .ace)([large, small]), merged, share: 1e-11)
        // A vector of zeros has no term.
        let zero = small.map { $0.map { _ in 0.0 } }
        expectClose(try StreamedMerge(method: .ace)([large, zero, small]), merged, share: 1e-11)
        let scaled = [large.map { $0.map { 0.3 * $0 } }, small.map { $0.map { 30 * $0 } }]
        expectClose(
            try StreamedMerge(method: .ace, arguments: ["covariance_prior": .number(0.05)])(scaled),
            [
                [2.8975219066352, -2.235329757753, 1.4811404361665, 3.541533396185],
                [-3.2666463529183, 1.0388274340378, -3.4528158689571, -3.2439183022458],
                [-3.1115024648665, 2.4179221044101, 1.4208878641888, -1.370937084317],
                [4.5487732769302, -1.7758946933673, 0.9669082456881, 1.8349935704689],
            ], share: 1e-11)
        #expect(try StreamedMerge(method: .ace)([zero, zero]) == zero)
    }

    /// Σ ‖(X − Δ_t)Δ_tᵀ‖² / ‖Δ_t‖².
    private func loss(_ point: [[Double]], _ vectors: [[[Double]]]) -> Double {
        vectors.reduce(0) { sum, vector in
            let norm = DenseSquare.norm(vector)
            let difference = DenseSquare.sum([point, vector], times: [1, -1])
            let product = DenseSquare.norm(DenseSquare.product(difference, DenseSquare.transposed(vector)))
            return sum + product * product / (norm * norm)
        }
    }

    @Test func `wudi has its documented minimum and its documented point after 300 steps of Adam`() throws {
        let vectors = Documented.vectors
        #expect(abs(loss([[3, 2], [1, 4]], vectors) - 14.761904761905) < 1e-11)
        let exact = try StreamedMerge(method: .wudi, arguments: ["ridge": .number(0)])(vectors)
        expectClose(
            exact, [[2.016766467066, 0.897005988024], [0.714970059880, 1.750898203593]], share: 1e-11)
        #expect(abs(loss(exact, vectors) - 3.059880239521) < 1e-11)
        expectClose(try StreamedMerge(method: .wudi)(vectors), exact, share: 1e-7)
        let adam = try StreamedMerge(method: .wudi, arguments: ["solver": .word("adam")])(
            vectors.map { StreamedMerge.Model(delta: $0) })
        expectClose(adam.rows, [[2.997001831, 1.997001787], [0.997001484, 3.997001113]], share: 1e-8)
        #expect(adam.solution == MergeSolution(iterations: 300))
        // One pass reads the models, and each further one is a step, which shows progress.
        #expect(adam.passes == [.values] + [MergePass](repeating: [], count: 300))
    }

    /// Adam on the small side is Adam on the other.
    @Test func `the small side has the gradient of the large one`() throws {
        let merge = StreamedMerge(method: .wudi, arguments: ["solver": .word("adam"), "lr": .number(1e-2)])
        let vectors = Self.vectors(2, (2, 9))
        // A column of zeros changes no gradient, and makes the matrix too wide for G or narrow enough for it.
        let tall = vectors.map { vector in vector + DenseSquare.zeros(3, 9) }
        expectClose(Array(try merge(tall).prefix(2)), try merge(vectors), share: 1e-9)
    }

    // MARK: - Identities

    @Test(arguments: Self.shapes)
    func `one model is its own merge, and equal models are theirs`(shape: (Int, Int)) throws {
        for merge in Self.estimating + [StreamedMerge(method: .tact, modelArguments: ["density": .number(1)])] {
            let vector = Self.vectors(1, shape)[0]
            expectClose(try merge([vector]), vector, share: 1e-12)
            expectClose(try merge([vector, vector, vector]), vector, share: 1e-12)
            let weighted = try merge([
                StreamedMerge.Model(delta: vector, weight: 3), StreamedMerge.Model(delta: vector, weight: -1),
            ])
            expectClose(weighted.rows, vector, share: 1e-12)
        }
    }

    @Test(arguments: Self.shapes)
    func `models equal to the base leave it bit for bit, and one of them changes nothing`(shape: (Int, Int)) throws {
        let zero = DenseSquare.zeros(shape.0, shape.1)
        for merge in Self.estimating + [StreamedMerge(method: .tact)] {
            #expect(try merge([zero, zero]) == zero)
            let vectors = Self.vectors(2, shape)
            expectClose(try merge(vectors + [zero]), try merge(vectors), share: 1e-12)
        }
    }

    @Test func `vectors with orthogonal rows are summed`() throws {
        var random = SplitMix64(seed: 3)
        let basis = DenseSquare.orthogonal(7, &random)
        let vectors = [basis[0..<2], basis[2..<5], basis[5..<7]].map { rows in
            DenseSquare.product(DenseSquare.random(4, rows.count, &random), Array(rows))
        }
        for merge in Self.estimating {
            expectClose(try merge(vectors), DenseSquare.sum(vectors, times: [1, 1, 1]), share: 1e-12)
        }
    }

    /// Where all rows are independent, no task is disturbed: the loss is 0, and null directions stay at the base.
    @Test func `independent rows are each kept`() throws {
        let vectors = Self.vectors(2, (3, 8))
        for merge in Self.estimating {
            let merged = try merge(vectors.map { StreamedMerge.Model(delta: $0) })
            #expect(loss(merged.rows, vectors) < 1e-20)
            #expect(merged.solution?.rank == 6)
        }
    }

    @Test(arguments: Self.shapes)
    func `rotations of rows and columns, and scales, pass through`(shape: (Int, Int)) throws {
        let (rotated, vectors) = (Rotation(of: shape), Self.vectors(3, shape))
        for merge in Self.estimating { try merge.expectRotationsAndScalesPass(vectors, rotated) }
        // The kept elements depend on the axes.
        let tact = StreamedMerge(method: .tact)
        if shape.0 * shape.1 > 8 {
            let difference = DenseSquare.sum(
                [try tact(vectors.map { rotated($0) }), rotated(try tact(vectors))], times: [1, -1])
            #expect(DenseSquare.norm(difference) > 1e-3)
        }
    }

    /// Expected: elimination on the normal equations, of full rank.
    @Test(arguments: [(5, 4), (9, 3)])
    func `the merge solves the normal equations`(shape: (Int, Int)) throws {
        let vectors = Self.vectors(3, shape)
        for (merge, isDivided) in zip(Self.estimating, [false, true]) {
            let grams = vectors.map { vector in
                let norm = isDivided ? DenseSquare.norm(vector) : 1
                let gram = DenseSquare.product(DenseSquare.transposed(vector), vector)
                return DenseSquare.scaled(gram, by: 1 / (norm * norm))
            }
            let weights = [1, -0.5, 2.0]
            let numerator = DenseSquare.sum(zip(vectors, grams).map(DenseSquare.product), times: weights)
            let expected = DenseSquare.transposed(
                DenseSquare.solve(DenseSquare.sum(grams, times: [1, 1, 1]), DenseSquare.transposed(numerator)))
            let merged = try merge(zip(vectors, weights).map { StreamedMerge.Model(delta: $0, weight: $1) })
            expectClose(merged.rows, expected, share: 1e-10)
            #expect(merged.solution?.rank == shape.1)
        }
    }

    @Test func `a tolerance leaves small directions out, and a ridge shrinks them`() throws {
        let vectors = [[[1.0, 0], [0, 1e-3]]]
        let cut = StreamedMerge(method: .actmat, arguments: ["rtol": .number(1e-5)])
        let result = try cut(vectors.map { StreamedMerge.Model(delta: $0) })
        #expect(result.rows == [[1, 0], [0, 0]])
        #expect(result.solution == MergeSolution(rank: 1))
        let ridge = StreamedMerge(method: .actmat, arguments: ["ridge": .number(2)])
        // The mean eigenvalue is (1 + 1e-6)/2.
        let damping = 1 + 1e-6
        expectClose(try ridge(vectors), [[1 / (1 + damping), 0], [0, 1e-9 / (1e-6 + damping)]], share: 1e-12)
    }

    // MARK: - regmean

    @Test(arguments: [(DampingRule.relative, 0.1), (.relative, 0), (.pi, 0.01), (.absolute, 0.3)])
    func `regmean is kfac with outputs of equal weight`(rule: (DampingRule, Double)) throws {
        for (outputs, inputs) in [(3, 5), (5, 3)] {
            let tasks = LayerTask.random(3, outputs: outputs, inputs: inputs, seed: 5)
            let equal = tasks.map { task in
                var task = task
                task.gradient = DenseSquare.identity(outputs)
                return task
            }
            let merged = try StreamedMerge(method: .regmean, damping: rule)(tasks.map(Self.model))
            expectClose(
                merged.elements, try LayerTask.merged(equal, damping: Damping(rule.0, rule.1)).delta, absolute: 1e-9)
            #expect(merged.healths.count == 1)
        }
    }

    private static func model(_ task: LayerTask) -> StreamedMerge.Model {
        let columns = task.input.count
        return StreamedMerge.Model(
            delta: task.gradient.indices.map { Array(task.delta[$0 * columns..<($0 + 1) * columns]) },
            lambda: task.lambda, input: task.input, gradient: task.gradient)
    }

    @Test func `regmean takes the weighted mean where inputs are dead or equal, and full blocks as kfac does`() throws {
        var tasks = LayerTask.random(3, outputs: 4, inputs: 6, seed: 7).map(Self.model)
        for index in tasks.indices { tasks[index].weight = Double(index) - 0.5 }
        let mean = DenseSquare.sum(tasks.map(\.delta), times: tasks.map { $0.lambda * $0.weight })
        let merge = StreamedMerge(method: .regmean, damping: (.relative, 0.1))
        var equal = tasks
        for index in equal.indices { equal[index].input = tasks[0].input }
        expectClose(try merge(equal).rows, mean, share: 1e-12)
        for index in tasks.indices {
            for other in 0..<6 {
                tasks[index].input?[3][other] = 0
                tasks[index].input?[other][3] = 0
            }
        }
        let merged = try merge(tasks).rows
        for row in merged.indices { #expect(merged[row][3] == mean[row][3]) }
        var parameters = tasks
        for index in parameters.indices { parameters[index].delta = [tasks[index].delta[0]] }
        let kfac = try StreamedMerge(method: .kfac, damping: (.relative, 0.1)).parameter(parameters)
        #expect(try merge.parameter(parameters).rows == kfac.rows)
        let zeros = tasks.map { task in
            var task = task
            task.delta = DenseSquare.zeros(4, 6)
            return task
        }
        #expect(try merge(zeros).rows == DenseSquare.zeros(4, 6))
    }

    // MARK: - Captured covariances

    private static let estimates: [(MergeMethod, @Sendable ([[Double]]) -> [[Double]])] = [
        (.actmat, { $0 }), (.wudi, { $0 }),
        // Half of the elements: the two largest of four.
        (
            .tact,
            { vector in
                let least = vector.flatMap { $0.map(\.magnitude) }.sorted()[2]
                return vector.map { $0.map { $0.magnitude < least ? 0 : $0 } }
            }
        ),
        (
            .ace,
            { vector in
                let means = vector[0].indices.map { column in
                    vector.reduce(0) { $0 + $1[column] } / Double(vector.count)
                }
                return vector.map { row in zip(row, means).map { $0 - $1 } }
            }
        ),
    ]

    @Test(arguments: Self.estimates.indices)
    func `with factors the merge is regmean, and says how far the estimates are`(index: Int) throws {
        let (method, estimate) = Self.estimates[index]
        var layers = Documented.layers
        // No two elements of a vector have the same magnitude.
        for position in layers.indices { layers[position].delta[0][0] = 1.5 + Double(position) }
        let merged = try StreamedMerge(method: method)(layers)
        #expect(merged.rows == (try StreamedMerge(method: .regmean)(layers)).rows)
        let expected = try layers.map { model in
            let rows = estimate(model.delta)
            let gram = DenseSquare.product(DenseSquare.transposed(rows), rows)
            let truth = try #require(model.input)
            func shared(_ matrix: [[Double]]) -> [[Double]] {
                let trace = matrix.indices.reduce(0) { $0 + matrix[$1][$1] }
                return matrix.map { $0.map { $0 / trace } }
            }
            let difference = DenseSquare.sum([shared(gram), shared(truth)], times: [1, -1])
            return DenseSquare.norm(difference) / DenseSquare.norm(shared(truth))
        }
        expectClose(try #require(merged.solution).covarianceDistances, expected, absolute: 1e-12)
    }

    @Test func `an estimate that is the covariance has the distance 0, and a vector of zeros has none`() throws {
        let vector: [[Double]] = [[1, 2], [0, 3]]
        let covariance: [[Double]] = [[10, 20], [20, 130]]
        let layers = [vector, [[0, 0], [0, 0]]].map {
            StreamedMerge.Model(delta: $0, lambda: 0.5, input: covariance, gradient: [[1, 0], [0, 1]])
        }
        let distances = try #require(try StreamedMerge(method: .actmat)(layers).solution).covarianceDistances
        #expect(distances[0] < 1e-7)
        #expect(distances[1].isNaN)
    }
}
