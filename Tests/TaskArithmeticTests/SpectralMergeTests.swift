import LinearAlgebra
import TestSupport
import Testing

@testable import TaskArithmetic

/// The methods that merge singular vectors, against documented values and their identities.
struct SpectralMergeTests {
    private static let methods = [
        StreamedMerge(method: .tsv), StreamedMerge(method: .isoC), StreamedMerge(method: .isoCTS),
    ]
    private static let shapes = [(5, 4), (4, 5), (2, 9), (6, 6), (1, 7), (6, 1)]

    private static func vectors(_ count: Int, _ shape: (Int, Int), seed: UInt64 = 1) -> [[[Double]]] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { _ in DenseSquare.random(shape.0, shape.1, &random) }
    }

    private static func diagonal(_ values: [Double]) -> [[Double]] {
        values.indices.map { row in values.indices.map { $0 == row ? values[row] : 0 } }
    }

    private static func singularValues(_ matrix: [[Double]]) throws -> [Double] {
        try SingularValueDecomposition(
            decomposing: Matrix<Double>(
                rows: matrix.count, columns: matrix[0].count, elements: matrix.flatMap { $0 })
        ).values
    }

    /// The leading singular triplets of a matrix.
    private static func truncated(_ matrix: [[Double]], rank: Int) throws -> [[Double]] {
        let parts = try SingularValueDecomposition(
            decomposing: Matrix<Double>(
                rows: matrix.count, columns: matrix[0].count, elements: matrix.flatMap { $0 }))
        return matrix.indices.map { row in
            matrix[0].indices.map { column in
                (0..<rank).reduce(0) { $0 + parts.values[$1] * parts.left[row, $1] * parts.right[$1, column] }
            }
        }
    }

    // MARK: - Documented values

    @Test func `tsv_m has its documented values`() throws {
        let merge = StreamedMerge(method: .tsv)
        expectClose(
            try merge(Documented.vectors),
            [[-0.963008848849, 2.216453345511], [3.022710516557, 1.207123878152]], share: 1e-10)
        expectClose(
            try merge([Self.diagonal([4, 3, 0, 0]), Self.diagonal([0, 0, 2, 1])]), Self.diagonal([4, 3, 2, 1]),
            share: 1e-14)
    }

    @Test func `iso_c has its documented values, also where the sum has less than full rank`() throws {
        let merge = StreamedMerge(method: .isoC)
        expectClose(try merge(Documented.vectors), [[3.5, 0.5], [-0.5, 3.5]], share: 1e-12)
        let models = [StreamedMerge.Model(delta: [[3, 4], [6, 8]])]
        let flat = try merge(models)
        expectClose(flat.rows, [[1.5, 2], [3, 4]], share: 1e-14)
        #expect(flat.solution?.rank == 1)
    }

    @Test func `iso_cts has its documented values`() throws {
        let vectors = [Self.diagonal([5, 1, 2, 1]), Self.diagonal([5, 4, 0.5, 2])]
        func merge(_ share: Double) -> StreamedMerge {
            StreamedMerge(method: .isoCTS, arguments: ["common_space_fraction": .number(share)])
        }
        expectClose(try merge(0.5)(vectors), Self.diagonal([4.75, 4.75, 4.75, 4.75]), share: 1e-13)
        let common = try StreamedMerge(method: .isoC)(vectors)
        expectClose(common, Self.diagonal([5.125, 5.125, 5.125, 5.125]), share: 1e-13)
        expectClose(try merge(1)(vectors), common, share: 1e-13)
    }

    @Test func `a tolerance leaves out directions by their share of the largest value`() throws {
        let vector = Self.diagonal([8, 4, 0.08, 0.02])
        func merge(_ method: MergeMethod, _ tolerance: Double) throws -> StreamedMerge.Result {
            let merge = StreamedMerge(method: method, arguments: ["rtol": .number(tolerance)])
            return try merge([StreamedMerge.Model(delta: vector)])
        }
        // The mean is over all values.
        let mean = 12.1 / 4
        for (tolerance, rank) in [(0, 4), (0.005, 3), (0.02, 2), (1, 1)] as [(Double, Int)] {
            let found = try merge(.isoC, tolerance)
            let expected = Self.diagonal((0..<4).map { $0 < rank ? mean : 0 })
            expectClose(found.rows.flatMap { $0 }, expected.flatMap { $0 }, absolute: 1e-13)
            #expect(found.solution?.rank == rank)
            #expect(found.solution?.raisedValues.count == rank)
        }
    }

    /// The rest of the second model is a thousandth of the sum's largest value.
    @Test func `iso_cts measures what is left of a model by the largest value of the sum`() throws {
        let vectors = [Self.diagonal([5, 3, 0, 0]), Self.diagonal([5, 3, 0.01, 0])]
        func rank(_ tolerance: Double) throws -> Int? {
            let merge = StreamedMerge(
                method: .isoCTS, arguments: ["common_space_fraction": .number(0.5), "rtol": .number(tolerance)])
            return try merge(vectors.map { StreamedMerge.Model(delta: $0) }).solution?.rank
        }
        #expect(try rank(0) == 3)
        #expect(try rank(0.002) == 2)
    }

    /// The numbers of directions at 768, by the authors' rounding.
    @Test(arguments: [(20, 608, 8), (2, 614, 77), (8, 616, 19), (14, 614, 11)])
    func `iso_cts divides directions as its authors do`(models: Int, common: Int, ofTask: Int) throws {
        let counts = SubspaceCounts(directions: 768, models: models, commonShare: 0.8)
        #expect(counts.common == common)
        #expect(counts.ofTask == ofTask)
    }

    @Test(arguments: 1...9, 1...9)
    func `iso_cts never takes more directions than there are`(directions: Int, models: Int) {
        for share in [0, 0.3, 0.8, 1] {
            let counts = SubspaceCounts(directions: directions, models: models, commonShare: share)
            #expect(counts.common >= 0 && counts.ofTask >= 0)
            #expect(counts.common + counts.ofTask * models == directions)
        }
    }

    // MARK: - Identities

    @Test(arguments: Self.shapes)
    func `models equal to the base leave it bit for bit, and one model is its own tsv_m`(shape: (Int, Int)) throws {
        let zero = DenseSquare.zeros(shape.0, shape.1)
        for merge in Self.methods { #expect(try merge([zero, zero]) == zero) }
        let vector = Self.vectors(1, shape)[0]
        expectClose(try StreamedMerge(method: .tsv)([vector]), vector, share: 1e-13)
    }

    /// The authors' form, which completes the polar factor, has 1.4 times the norm.
    @Test func `equal models give their leading triplets once`() throws {
        let vector = Self.vectors(1, (8, 6))[0]
        let merge = StreamedMerge(method: .tsv)
        let merged = try merge([vector, vector].map { StreamedMerge.Model(delta: $0) })
        expectClose(merged.rows, try Self.truncated(vector, rank: 3), share: 1e-12)
        #expect(merged.solution?.rank == 3)
        expectClose(try merge([vector, vector, vector]), try Self.truncated(vector, rank: 2), share: 1e-12)
    }

    @Test(arguments: Self.shapes)
    func `iso_c keeps the nuclear norm of the sum, in equal values`(shape: (Int, Int)) throws {
        let vectors = Self.vectors(3, shape)
        let sum = try Self.singularValues(DenseSquare.sum(vectors, times: [1, 1, 1]))
        let mean = sum.reduce(0, +) / Double(sum.count)
        let merged = try StreamedMerge(method: .isoC)(vectors)
        expectClose(try Self.singularValues(merged), sum.map { _ in mean }, relative: 1e-12)
        expectClose(
            try StreamedMerge(method: .isoC)([vectors[0], vectors[0], vectors[0]]),
            DenseSquare.scaled(try StreamedMerge(method: .isoC)([vectors[0]]), by: 3), share: 1e-12)
    }

    @Test(arguments: Self.shapes)
    func `rotations of rows and columns, and scales, pass through`(shape: (Int, Int)) throws {
        let (rotated, vectors) = (Rotation(of: shape), Self.vectors(3, shape))
        for merge in Self.methods { try merge.expectRotationsAndScalesPass(vectors, rotated) }
    }

    @Test func `transposition passes through tsv_m and iso_c, and not through iso_cts`() throws {
        let vectors = Self.vectors(2, (6, 6), seed: 5)
        let transposed = vectors.map(DenseSquare.transposed)
        for merge in Self.methods.prefix(2) {
            expectClose(try merge(transposed), DenseSquare.transposed(try merge(vectors)), share: 1e-11)
        }
        let merge = StreamedMerge(method: .isoCTS, arguments: ["common_space_fraction": .number(0.5)])
        let difference = DenseSquare.sum(
            [try merge(transposed), DenseSquare.transposed(try merge(vectors))], times: [1, -1])
        #expect(DenseSquare.norm(difference) > 1e-3)
    }

    @Test func `vectors with orthogonal rows and columns keep their leading triplets`() throws {
        var random = SplitMix64(seed: 6)
        let (left, right) = (DenseSquare.orthogonal(8, &random), DenseSquare.orthogonal(6, &random))
        let vectors = [0..<3, 3..<6].map { places in
            DenseSquare.product(
                DenseSquare.product(
                    DenseSquare.transposed(Array(left[places])), DenseSquare.random(3, 3, &random)),
                Array(right[places]))
        }
        expectClose(
            try StreamedMerge(method: .tsv)(vectors), DenseSquare.sum(vectors, times: [1, 1]), share: 1e-12)
    }

    @Test func `a weight scales and negates a vector, and a rank is a share of the triplets`() throws {
        let vectors = Self.vectors(2, (4, 6), seed: 7)
        for merge in Self.methods {
            let weighted = try merge(zip(vectors, [2, -0.5]).map { StreamedMerge.Model(delta: $0, weight: $1) })
            let scaled = [DenseSquare.scaled(vectors[0], by: 2), DenseSquare.scaled(vectors[1], by: -0.5)]
            expectClose(weighted.rows, try merge(scaled), share: 1e-12)
        }
        let one = StreamedMerge(method: .tsv, arguments: ["rank_fraction": .number(0.5)])
        expectClose(try one([vectors[0]]), try Self.truncated(vectors[0], rank: 2), share: 1e-12)
    }

    /// Their memory is not in the cost, and they could not all be orthogonal.
    @Test func `more triplets than a matrix has are refused before the work`() throws {
        func fault(_ share: Double?, models: Int) -> String? {
            let request = MergeRequest(
                tensor: "fc.weight",
                models: (1...models).map { place in
                    MergeRequest.Model(name: "m\(place)", place: place, weight: 1, arguments: MergeArguments())
                },
                divides: false, arguments: MergeArguments(share.map { ["rank_fraction": .number($0)] } ?? [:]))
            return MergeMethod.tsv.fault([request])
        }
        #expect(fault(nil, models: 3) == nil)
        #expect(fault(0.333333, models: 3) == nil)
        #expect(fault(1, models: 1) == nil)
        #expect(
            fault(0.5, models: 3)
                == "keeps 0.5 of the singular directions of each of 3 models in tensor \"fc.weight\", more than the "
                + "tensor has; expected a \"rank_fraction\" of at most 1 / models. Leave it out for that.")
    }
}
