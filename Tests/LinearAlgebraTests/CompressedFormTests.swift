import LinearAlgebra
import TestSupport
import Testing

/// Compressed forms of symmetric matrices, against closed forms and bounds of their rounding.
struct CompressedFormTests {
    private static let forms: [CompressedForm] = [
        .bf16, .int8, .blockDiagonal(blocks: 3), .blockDiagonal(blocks: 1), .blockDiagonal(blocks: 1000),
        .lowRank(rank: 0), .lowRank(rank: 4), .lowRank(rank: 1000),
    ]

    /// The Gram matrix of random rows, which is positive semi-definite.
    private func gram(_ dimension: Int, rows: Int, seed: UInt64) throws -> PackedSymmetricMatrix<Float> {
        var random = SplitMix64(seed: seed)
        let values = try Matrix<Double>(rows: rows, columns: dimension, elements: random.values(rows * dimension))
        var square = try Matrix<Double>(rows: dimension, columns: dimension)
        try square.addGramMatrix(of: values, .columns)
        return try PackedSymmetricMatrix(packing: square, times: 1)
    }

    private func roundTrip(
        _ matrix: borrowing PackedSymmetricMatrix<Float>, _ form: CompressedForm
    ) throws -> PackedSymmetricMatrix<Double> {
        let compressed = try CompressedSymmetricMatrix(compressing: matrix, as: form)
        #expect(compressed.bytes.count == form.byteCount(dimension: matrix.dimension))
        return try CompressedSymmetricMatrix(form: form, dimension: matrix.dimension, bytes: compressed.bytes)
            .decoded()
    }

    @Test func `the bytes of each form are those of its numbers`() {
        // 200 rows: the triangle has 20 100 elements. Rows 1 to 64 have one scale, 65 to 128 two, 129 to 192 three, and
        // the last eight four. Blocks of 67, 67 and 66 rows.
        let counts = [
            2 * 20_100, 20_100 + 4 * (64 * (1 + 2 + 3) + 8 * 4), 4 * (2 * 67 * 68 / 2 + 66 * 67 / 2), 4 * 20_100,
            4 * 200, 4 * 200, 4 * 5 * 200, 4 * 201 * 200,
        ]
        #expect(Self.forms.map { $0.byteCount(dimension: 200) } == counts)
        // A hostile file may state any number.
        for form in Self.forms + [.lowRank(rank: .max), .blockDiagonal(blocks: .max)] {
            #expect(form.byteCount(dimension: 1 << 24) > 0)
            #expect(form.byteCount(dimension: .max) > 0)
        }
    }

    @Test(arguments: forms) func `a multiple of the identity is exact in every form`(_ form: CompressedForm) throws {
        let matrix = try PackedSymmetricMatrix<Float>(
            dimension: 70, elements: (0..<70).flatMap { row in (0...row).map { $0 == row ? 1.5 : 0 } })
        let decoded = try roundTrip(matrix, form)
        // fp32 rounds 1.5 / 127, the step, and √1.5, the length of the vectors if no eigenvalue is left out.
        let tolerance = form == .int8 || form == .lowRank(rank: 1000) ? 2e-7 : 0
        for row in 0..<70 {
            for column in 0...row {
                #expect((decoded[row, column] - (row == column ? 1.5 : 0)).magnitude <= tolerance)
            }
        }
    }

    @Test(arguments: [CompressedForm.lowRank(rank: 0), .blockDiagonal(blocks: 70), .blockDiagonal(blocks: 4)])
    func `a diagonal matrix is exact`(_ form: CompressedForm) throws {
        let matrix = try PackedSymmetricMatrix<Float>(
            dimension: 70, elements: (0..<70).flatMap { row in (0...row).map { $0 == row ? Float(row) / 3 : 0 } })
        let decoded = try roundTrip(matrix, form)
        #expect(decoded.diagonal == (0..<70).map { Double(Float($0) / 3) })
        #expect(try CompressionLoss(of: decoded, from: matrix, repairs: false).relativeError == 0)
    }

    @Test func `a matrix of the rank, and a multiple of the identity beside it, is kept`() throws {
        for noise in [Float(0), 0.75] {
            var matrix = try gram(40, rows: 5, seed: 3)
            for row in 0..<40 { matrix[row, row] += noise }
            let loss = try CompressionLoss(
                of: try roundTrip(matrix, .lowRank(rank: 5)), from: matrix, repairs: false)
            #expect(loss.relativeError < 1e-6)
        }
    }

    @Test func `a low rank keeps the diagonal and is semi-definite`() throws {
        let matrix = try gram(50, rows: 60, seed: 8)
        var last = Double.infinity
        for rank in [0, 3, 10, 30, 50] {
            let decoded = try roundTrip(matrix, .lowRank(rank: rank))
            for row in 0..<50 {
                #expect((decoded[row, row] - Double(matrix[row, row])).magnitude < 2e-7 * Double(matrix[row, row]))
            }
            let loss = try CompressionLoss(of: decoded, from: matrix, repairs: false)
            #expect(loss.smallestEigenvalue > -1e-6 * loss.meanEigenvalue)
            #expect(loss.relativeError < last)
            last = loss.relativeError
        }
        #expect(last < 1e-6)
    }

    @Test func `bf16 rounds each element to nearest even`() throws {
        let matrix = try gram(30, rows: 12, seed: 1)
        let decoded = try roundTrip(matrix, .bf16)
        for row in 0..<30 {
            for column in 0...row {
                let exact = Double(matrix[row, column])
                #expect((decoded[row, column] - exact).magnitude <= exact.magnitude * 0x1p-8)
            }
        }
        // Half way between 1 and 1 + 2^-7, and between that and 1 + 2^-6.
        let ties = try PackedSymmetricMatrix<Float>(dimension: 2, elements: [1 + 0x1p-8, 0, 1 + 3 * 0x1p-8])
        #expect(try roundTrip(ties, .bf16).diagonal == [1, 1 + 0x1p-6])
    }

    @Test func `int8 is off by half a step at most`() throws {
        let matrix = try gram(150, rows: 40, seed: 5)
        let decoded = try roundTrip(matrix, .int8)
        for row in 0..<150 {
            for start in stride(from: 0, through: row, by: 64) {
                let columns = start..<min(start + 64, row + 1)
                let largest = columns.map { Double(matrix[row, $0].magnitude) }.max() ?? 0
                for column in columns {
                    let error = (decoded[row, column] - Double(matrix[row, column])).magnitude
                    #expect(error <= largest / 254 * (1 + 1e-5))
                }
            }
        }
    }

    @Test func `blocks on the diagonal are exact, and all else is zero`() throws {
        let matrix = try gram(10, rows: 4, seed: 6)
        let decoded = try roundTrip(matrix, .blockDiagonal(blocks: 3))
        // ⌈10/3⌉ = 4 rows, so blocks of 4, 4 and 2 rows.
        for row in 0..<10 {
            for column in 0...row {
                #expect(decoded[row, column] == (row / 4 == column / 4 ? Double(matrix[row, column]) : 0))
            }
        }
    }

    @Test func `the loss is that of an explicit norm and of known eigenvalues`() throws {
        // [[2, 1], [1, 2]] against [[1, 2], [2, 1]], whose eigenvalues are 3 and −1.
        let exact = try PackedSymmetricMatrix<Float>(dimension: 2, elements: [2, 1, 2])
        let slight = try PackedSymmetricMatrix<Double>(dimension: 2, elements: [1, 1 + 1e-5, 1])
        let loss = try CompressionLoss(of: slight, from: exact, repairs: false)
        expectClose(loss.relativeError, ((2 + 2e-10) / 10).squareRoot(), absolute: 1e-12)
        expectClose(loss.smallestEigenvalue, -1e-5, absolute: 1e-12)
        expectClose(loss.meanEigenvalue, 1, absolute: 1e-12)
        #expect(loss.shift == 0)
        expectClose(
            try CompressionLoss(of: slight, from: exact, repairs: true).shift, 1e-5, absolute: 1e-12)
        // No reader takes this one. The shift makes it [[2, 2], [2, 2]].
        let decoded = try PackedSymmetricMatrix<Double>(dimension: 2, elements: [1, 2, 1])
        for repairs in [false, true] {
            let repaired = try CompressionLoss(of: decoded, from: exact, repairs: repairs)
            expectClose(repaired.shift, 1, absolute: 1e-12)
            #expect(repaired.smallestEigenvalue == 0)
            expectClose(repaired.meanEigenvalue, 2, absolute: 1e-12)
            expectClose(repaired.relativeError, (2.0 / 10).squareRoot(), absolute: 1e-12)
        }
    }

    @Test func `a zero matrix is exact, and needs no repair`() throws {
        let zero = try PackedSymmetricMatrix<Float>(dimension: 65)
        for form in Self.forms {
            let loss = try CompressionLoss(of: try roundTrip(zero, form), from: zero, repairs: true)
            #expect(loss == CompressionLoss(relativeError: 0, smallestEigenvalue: 0, meanEigenvalue: 0))
        }
    }

    @Test func `bytes of another number are refused`() {
        let error = LinearAlgebraError.lengthMismatch(
            buffer: "the bytes of a matrix as int8", expected: 11, found: 6)
        #expect(throws: error) {
            _ = try CompressedSymmetricMatrix(form: .int8, dimension: 2, bytes: [UInt8](repeating: 0, count: 6))
        }
    }

    @Test func `eigenvalues without vectors are those of the decomposition`() throws {
        let matrix = try gram(80, rows: 90, seed: 9)
        let values = try SymmetricEigenvalues.of(try matrix.unpackedLower())
        let expected = try SymmetricEigen(decomposing: try matrix.unpackedLower()).values
        for (value, expected) in zip(values, expected) { #expect((value - expected).magnitude < 1e-9) }
        #expect(try SymmetricEigenvalues.of(Matrix<Double>(rows: 0, columns: 0)).isEmpty)
        #expect(try SymmetricEigenvalues.of(Matrix<Double>(rows: 1, columns: 1, elements: [7])) == [7])
    }
}
