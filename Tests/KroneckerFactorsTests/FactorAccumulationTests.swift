import KroneckerFactors
import LinearAlgebra
import TestSupport
import Testing

struct FactorAccumulationTests {
    private func matrix(_ rows: Int, _ columns: Int, seed: UInt64) throws -> Matrix<Float> {
        var random = SplitMix64(seed: seed)
        return try Matrix(rows: rows, columns: columns, elements: random.values(rows * columns).map { Float($0) })
    }

    @Test func `a bias borders the factor as a column of ones would`() throws {
        let rows = try matrix(10, 3, seed: 1)
        var withOnes = try Matrix<Float>(rows: 10, columns: 4)
        for row in 0..<10 {
            for column in 0..<3 { withOnes[row, column] = rows[row, column] }
            withOnes[row, 3] = 1
        }
        var workspace = try FactorWorkspace()
        var bordered = try FactorAccumulation(columnCount: 3, appendsOne: true)
        var plain = try FactorAccumulation(columnCount: 4)
        for chunk in [0..<6, 6..<10] {
            try bordered.add(rows: chunk, of: rows, workspace: &workspace)
            try plain.add(rows: chunk, of: withOnes, workspace: &workspace)
        }
        let dimension = bordered.dimension
        #expect(dimension == 4)
        expectClose(
            try bordered.finish(divisor: 10).elements,
            try plain.finish(divisor: 10).elements,
            absolute: 1e-6
        )
    }

    @Test(
        .enabled(if: ProductArithmetic.fusedMultiplyAdd.isSupported),
        arguments: [1, 3, 63, 64, 65, 191, 193], [PositionReduction.none, .mean(positions: 3)])
    func `narrow rows agree with the BLAS, and a bias borders them with the same bits`(
        columns: Int, reduction: PositionReduction
    ) throws {
        let rows = try matrix(300, columns, seed: 7)
        let sums = try [ProductArithmetic.blas, .fusedMultiplyAdd].map { arithmetic in
            var workspace = try FactorWorkspace(arithmetic)
            var sum = try FactorAccumulation(columnCount: columns, appendsOne: true, reduction: reduction)
            for chunk in [0..<201, 201..<300] { try sum.add(rows: chunk, of: rows, workspace: &workspace) }
            return sum.finishPartial().elements
        }
        expectClose(sums[1], sums[0], absolute: 1e-4)
        #expect(sums[1].suffix(columns + 1) == sums[0].suffix(columns + 1))
    }

    /// Σ r rᵀ of the reduced rows with a one, packed, in fp64.
    private func gram(_ rows: borrowing Matrix<Float>, _ reduction: PositionReduction) -> [Double] {
        let reduced = stride(from: 0, to: rows.rowCount, by: reduction.positions).map { first in
            (0..<rows.columnCount).map { column in
                (first..<first + reduction.positions).reduce(0.0) { $0 + Double(rows[$1, column]) } * reduction.scale
            } + [1]
        }
        return (0...rows.columnCount).flatMap { row in
            (0...row).map { column in reduced.reduce(0.0) { $0 + $1[row] * $1[column] } }
        }
    }

    @Test(arguments: [PositionReduction.none, .mean(positions: 3), .sum(positions: 3)])
    func `products in fp64 keep what those in fp32 drop`(reduction: PositionReduction) throws {
        let rows = try matrix(300, 21, seed: 8)
        let expected = gram(rows, reduction)
        var single = try FactorWorkspace()
        var double = try FactorWorkspace(precision: Double.self)
        var singles = try FactorAccumulation(columnCount: 21, appendsOne: true, reduction: reduction)
        var doubles = try FactorAccumulation(columnCount: 21, appendsOne: true, reduction: reduction)
        for chunk in [0..<201, 201..<300] {
            try singles.add(rows: chunk, of: rows, workspace: &single)
            try doubles.add(rows: chunk, of: rows, workspace: &double)
        }
        let rounded = singles.finishPartial().elements
        expectClose(doubles.finishPartial().elements, expected, absolute: 1e-12)
        #expect(zip(rounded, expected).contains { abs($0 - $1) > 1e-8 })
    }

    @Test func `rows that were reduced in fp64 are added as they are`() throws {
        let rows = try Matrix<Double>(rows: 3, columns: 2, elements: [1 + 0x1p-40, 2, 1, 0.5, 3, -1])
        var workspace = try FactorWorkspace(precision: Double.self)
        var sum = try FactorAccumulation(columnCount: 2, appendsOne: true)
        try sum.add(rows: 1..<3, of: rows, workspace: &workspace)
        try sum.add(rows: 0..<1, of: rows, workspace: &workspace)
        #expect(sum.rowCount == 3)
        let first = 1 + 0x1p-40
        #expect(
            sum.finishPartial().elements == [10 + first * first, -2.5 + 2 * first, 5.25, 4 + first, 1.5, 3])
    }

    @Test(arguments: [PositionReduction.none, .sum(positions: 2)])
    func `in fp64 too a row that is not finite is named`(reduction: PositionReduction) throws {
        var rows = try matrix(12, 3, seed: 9)
        rows[9, 1] = .nan
        var workspace = try FactorWorkspace(precision: Double.self)
        var sum = try FactorAccumulation(columnCount: 3, reduction: reduction)
        try sum.add(rows: 0..<4, of: rows, workspace: &workspace)
        #expect(throws: KroneckerFactorsError.nonFinite(row: 9)) {
            try sum.add(rows: 4..<12, of: rows, workspace: &workspace)
        }
    }

    @Test func `partial sums combine to the bits of one accumulation`() throws {
        let rows = try matrix(64, 5, seed: 2)
        var workspace = try FactorWorkspace()
        var whole = try FactorAccumulation(columnCount: 5, appendsOne: true)
        var total = [Double](repeating: 0, count: 21)
        for first in stride(from: 0, to: 64, by: 16) {
            try whole.add(rows: first..<first + 16, of: rows, workspace: &workspace)
            var part = try FactorAccumulation(columnCount: 5, appendsOne: true)
            try part.add(rows: first..<first + 16, of: rows, workspace: &workspace)
            let partial = part.finishPartial().elements
            var span = total.mutableSpan
            try PartialSums.add(partial.span, to: &span)
        }
        var combined = [Float](repeating: 0, count: 21)
        for range in [0..<8, 8..<21] {
            let sums = Array(total[range])
            var part = [Float](repeating: 0, count: range.count)
            var destination = part.mutableSpan
            try PartialSums.normalize(
                sums.span, divisor: 64, firstElement: range.lowerBound, of: .full(6), into: &destination)
            combined.replaceSubrange(range, with: part)
        }
        #expect(try whole.finish(divisor: 64).elements == combined)
    }

    @Test func `the workspace of a larger factor leaves no trace in a smaller`() throws {
        var workspace = try FactorWorkspace()
        let small = try matrix(9, 2, seed: 3)
        var results: [[Float]] = []
        for _ in 0..<2 {
            var accumulation = try FactorAccumulation(columnCount: 2, reduction: .sum(positions: 3))
            try accumulation.add(rows: 0..<9, of: small, workspace: &workspace)
            results.append(try accumulation.finish(divisor: 1).elements)
            var large = try FactorAccumulation(columnCount: 40, reduction: .mean(positions: 2))
            try large.add(rows: 0..<20, of: matrix(20, 40, seed: 4), workspace: &workspace)
        }
        #expect(results[0] == results[1])
    }

    @Test func `a flaw is named by its row over all chunks, and leaves the sum unchanged`() throws {
        var rows = try matrix(12, 3, seed: 5)
        var workspace = try FactorWorkspace()
        var accumulation = try FactorAccumulation(columnCount: 3)
        try accumulation.add(rows: 0..<8, of: rows, workspace: &workspace)
        rows[10, 1] = .nan
        #expect(throws: KroneckerFactorsError.nonFinite(row: 18)) {
            try accumulation.add(rows: 0..<12, of: rows, workspace: &workspace)
        }
        let count = accumulation.rowCount
        #expect(count == 8)
        var reduced = try FactorAccumulation(columnCount: 3, reduction: .sum(positions: 4))
        #expect(throws: KroneckerFactorsError.nonFinite(row: 10)) {
            try reduced.add(rows: 0..<12, of: rows, workspace: &workspace)
        }
        rows[10, 1] = 3e19
        #expect(throws: KroneckerFactorsError.squareOverflow(row: 10, column: 1)) {
            try accumulation.add(rows: 8..<12, of: rows, workspace: &workspace)
        }
    }

    @Test func `the memory estimate follows its formula and saturates`() {
        // 256 rows of three panels of 48 columns, in bfloat16.
        let packed = 2 * 256 * 3 * 48
        #expect(
            MemoryEstimate.accumulation(of: .full(100), chunkRows: 10, elementType: .bf16)
                == 40_000 + packed + 12 * 5050 + 6 * 1000
        )
        #expect(
            MemoryEstimate.accumulation(of: .full(100), chunkRows: 10, elementType: .f32, reducesPositions: true)
                == 40_000 + packed + 12 * 5050 + 6 * 1000
        )
        #expect(MemoryEstimate.inverse(of: .full(100)) == 80_000 + 8 * 5050)
        #expect(MemoryEstimate.accumulation(of: .full(.max), chunkRows: .max, elementType: .f64) == .max)
    }

    @Test func `each refusal is a whole sentence`() throws {
        func message(_ body: () throws -> Void) -> String? {
            #expect(throws: KroneckerFactorsError.self) { try body() }?.description
        }
        #expect(
            message { _ = try FactorAccumulation(columnCount: 3).finish(divisor: 1) }
                == "no rows; expected at least one sample."
        )
        #expect(
            message { _ = try SampleCounts(samples: 0, rows: 1) } == "0 samples; expected at least 1."
        )
        #expect(
            message { _ = try SampleCounts(samples: 1, rows: 0) } == "0 rows; expected at least 1."
        )
        #expect(
            message {
                var accumulation = try FactorAccumulation(columnCount: 3, reduction: .sum(positions: 4))
                var workspace = try FactorWorkspace()
                try accumulation.add(rows: 0..<6, of: matrix(6, 3, seed: 6), workspace: &workspace)
            } == "6 rows do not divide into samples of 4 positions; expected a multiple of 4."
        )
        #expect(
            message { _ = try RegularizerWeights([1, -2]) }
                == "task 1 has the weight -2.0; expected a positive, finite number."
        )
        #expect(
            message { _ = try RegularizerWeights([1]).lambdas(excluding: 0) }
                == "a sum over no task; expected at least one task besides the target."
        )
        #expect(
            message { _ = try Damping(.pi, -1) } == "a damping of -1.0; expected a finite number of at least 0."
        )
        #expect(
            message {
                _ = try DampedInverse(of: PackedSymmetricMatrix(dimension: 2, elements: [1, .nan, 1]), damping: 1)
            }
                == "row 1 of the factor holds NaN or infinity; expected finite values. Compute the factor again."
        )
        #expect(
            message {
                _ = try DampedInverse(of: PackedSymmetricMatrix(dimension: 1, elements: [0]), damping: 1e-300)
            }
                == "an element of row 0 does not fit fp32, in which factors are stored; expected a magnitude below "
                + "3.4e38. Scale the captures or factors of all tasks down; for an inverse, raise the damping."
        )
        #expect(
            message {
                var accumulation = try FactorAccumulation(columnCount: 3)
                var workspace = try FactorWorkspace()
                try accumulation.add(rows: 0..<6, of: matrix(6, 2, seed: 6), workspace: &workspace)
            } == "a captured row: 2 elements; expected 3."
        )
        #expect(
            KroneckerFactorsError.nonFinite(row: 3).description
                == "row 3 holds NaN or infinity; expected finite values. Capture it again."
        )
        #expect(
            KroneckerFactorsError.squareOverflow(row: 3, column: 1).description
                == "the squares of column 1 overflow fp32 (largest magnitude in row 3); expected magnitudes whose sum "
                + "of squares over one chunk stays below 3.4e38. Scale the capture down."
        )
    }
}
