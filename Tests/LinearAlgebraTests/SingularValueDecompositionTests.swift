import TestSupport
import Testing

@testable import LinearAlgebra

struct SingularValueDecompositionTests {
    /// The values are from numpy.linalg.svd (2.4), with our signs.
    @Test func `values and vectors are those of numpy`() throws {
        let elements: [Double] = [2, -1, 0.5, 0, 3, -2, 1, 1, 4, -3, 0.25, 1.5]
        let svd = try SingularValueDecomposition(decomposing: Matrix(rows: 4, columns: 3, elements: elements))
        let values = [4.791201757801178, 3.8213813601000757, 3.1628990209493844]
        expectClose(svd.values, values, relative: 1e-14)
        expectClose(
            svd.left.elements,
            [
                0.17946127790079153, -0.5553983925791975, -0.02479049797592098, -0.5260172376818502,
                0.20222228464072603, 0.7777382447711516, 0.796191098018604, 0.0165849608091293, 0.5867368405473137,
                0.2391218326119567, 0.80645130800941, -0.2241618472776971,
            ], absolute: 1e-14)
        expectClose(
            svd.right.elements,
            [
                0.09136500154091033, -0.1881660343997897, 0.9778783053078162, -0.919449125141878,
                0.3611947890688173, 0.15540794904176455, 0.3824470457060226, 0.9133081998141647, 0.14000853325046195,
            ], absolute: 1e-14)
        let single = try SingularValueDecomposition<Float>(
            decomposing: Matrix(rows: 4, columns: 3, elements: elements.map { Float($0) }))
        expectClose(single.values, values, relative: 5e-7)
    }

    /// The Hilbert matrix 1/(i + j + 1), which is ill-conditioned; the values are from mpmath with 40 digits.
    @Test func `small values of a Hilbert matrix are exact relative to the largest`() throws {
        var elements: [Double] = []
        for row in 0..<8 {
            for column in 0..<5 { elements.append(1 / Double(row + column + 1)) }
        }
        let svd = try SingularValueDecomposition(decomposing: Matrix(rows: 8, columns: 5, elements: elements))
        expectClose(
            svd.values,
            [
                1.6260076350024750062, 0.24709016782319540587, 0.017009294624457644055, 0.00065442282364826337249,
                0.000012973979232719317332,
            ], absolute: 1e-15)
    }

    @Test(arguments: [(1, 1), (1, 6), (6, 1), (7, 4), (4, 7), (30, 30), (130, 7), (7, 130), (61, 60)])
    func `factors are orthonormal and their product is the matrix, tall, wide and square`(
        shape: (rows: Int, columns: Int)
    ) throws {
        var random = SplitMix64(seed: 3)
        let elements = random.values(shape.rows * shape.columns)
        let matrix = try Matrix<Double>(rows: shape.rows, columns: shape.columns, elements: elements)
        try expectDecomposition(SingularValueDecomposition(decomposing: matrix), of: elements, tolerance: 2e-14)
        let single = try Matrix<Float>(
            rows: shape.rows, columns: shape.columns, elements: elements.map { Float($0) })
        try expectDecomposition(SingularValueDecomposition(decomposing: single), of: elements, tolerance: 2e-5)
    }

    @Test(arguments: [(5, 7, 1), (30, 20, 6), (20, 30, 20), (9, 9, 9)])
    func `a product of narrow matrices has the triplets of the whole`(rows: Int, columns: Int, rank: Int) throws {
        var random = SplitMix64(seed: 11)
        let up = random.values(rows * rank)
        var down = random.values(rank * columns)
        // Two equal rows of A: the product has one triplet fewer.
        if rank > 1 { down.replaceSubrange(columns..<2 * columns, with: down[..<columns]) }
        let b = try Matrix<Double>(rows: rows, columns: rank, elements: up)
        let a = try Matrix<Double>(rows: rank, columns: columns, elements: down)
        var whole = try Matrix<Double>(rows: rows, columns: columns)
        try whole.addProduct(b, .none, a, .none)
        let elements = whole.elements
        let direct = try SingularValueDecomposition(decomposing: whole)
        let found = try SingularValueDecomposition(ofProduct: b, a)
        expectClose(found.values, Array(direct.values.prefix(rank)), absolute: 1e-13)
        let significant = rank > 1 ? rank - 1 : rank
        var sum = [Double](repeating: 0, count: rows * columns)
        for row in 0..<rows {
            for column in 0..<columns {
                for term in 0..<significant {
                    sum[row * columns + column] +=
                        found.left.elements[row * rank + term] * found.values[term]
                        * found.right.elements[term * columns + column]
                }
            }
        }
        expectClose(sum, elements, absolute: 1e-12)
    }

    @Test(arguments: [
        [1e3, 1, 1, 1e-3], [1, 1e-4, 1e-8, 1e-12], [2, 1, 0, 0], [1e300, 1e299, 0, 0], [1e-300, 0, 0, 0],
    ])
    func `a known spectrum is found to rounding of the largest value`(spectrum: [Double]) throws {
        for (rows, columns) in [(9, 4), (4, 9)] {
            let svd = try SingularValueDecomposition(decomposing: matrix(spectrum, rows: rows, columns: columns))
            expectClose(svd.values, spectrum, absolute: 4e-15 * spectrum[0])
            try expectOrthonormal(svd, tolerance: 1e-14)
        }
    }

    @Test func `a zero matrix has zero values and orthonormal vectors, and one without elements has none`() throws {
        let svd = try SingularValueDecomposition(decomposing: Matrix<Float>(rows: 5, columns: 3))
        #expect(svd.values == [0, 0, 0])
        try expectOrthonormal(svd, tolerance: 0)
        for (rows, columns) in [(0, 3), (3, 0), (0, 0)] {
            let empty = try SingularValueDecomposition(decomposing: Matrix<Double>(rows: rows, columns: columns))
            #expect(empty.values.isEmpty)
            #expect(empty.left.rowCount == rows && empty.left.columnCount == 0)
            #expect(empty.right.rowCount == 0 && empty.right.columnCount == columns)
        }
    }

    @Test func `the largest element of a left vector is positive, and equal matrices have equal bits`() throws {
        var random = SplitMix64(seed: 4)
        let elements = random.values(40 * 12)
        let first = try SingularValueDecomposition(decomposing: Matrix(rows: 40, columns: 12, elements: elements))
        let again = try SingularValueDecomposition(decomposing: Matrix(rows: 40, columns: 12, elements: elements))
        #expect(first.values == again.values)
        #expect(first.left.elements == again.left.elements)
        #expect(first.right.elements == again.right.elements)
        for column in 0..<12 {
            let vector = (0..<40).map { first.left[$0, column] }
            let largest = try #require(vector.max { $0.magnitude < $1.magnitude })
            #expect(largest > 0)
        }
        // −M has the same left vectors, and negated right vectors.
        let negated = try SingularValueDecomposition(
            decomposing: Matrix(rows: 40, columns: 12, elements: elements.map { -$0 }))
        expectClose(negated.left.elements, first.left.elements, absolute: 1e-13)
        expectClose(negated.right.elements, first.right.elements.map { -$0 }, absolute: 1e-13)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity])
    func `the first row that is not finite is named, by both ways`(flaw: Double) throws {
        var elements = [Double](repeating: 1, count: 12)
        elements[7] = flaw
        elements[10] = flaw
        #expect(throws: LinearAlgebraError.nonFinite(row: 2)) {
            _ = try SingularValueDecomposition(decomposing: Matrix(rows: 4, columns: 3, elements: elements))
        }
        #expect(throws: LinearAlgebraError.nonFinite(row: 2)) {
            _ = try SingularValueDecomposition(byGramMatrixOf: Matrix(rows: 4, columns: 3, elements: elements))
        }
    }

    @Test func `23169 is the last shorter side whose workspace fits LAPACK's integers`() throws {
        let workspace = try SingularValueWorkspace(routine: "dgesdd", rows: 30_000, columns: 23_169)
        #expect(workspace.realCount == 2_147_372_427)
        #expect(workspace.integerCount == 185_352)
        let error = #expect(throws: LinearAlgebraError.self) {
            try SingularValueWorkspace(routine: "dgesdd", rows: 23_170, columns: 30_000)
        }
        #expect(
            error?.description == "dgesdd of dimension 23170 needs a workspace of 2147557790 elements; this LAPACK "
                + "takes at most 2147483647.")
        #expect(throws: LinearAlgebraError.dimensionExceedsBLAS(dimension: 1 << 31)) {
            try SingularValueWorkspace(routine: "dgesdd", rows: 1 << 31, columns: 1)
        }
    }

    /// m = 14336, n = k = 4096: mn + k(m + n) + 4k² + 7k = 201 355 264 elements, and 32 768 integers of 4 bytes.
    @Test func `the estimates count matrix, factors and workspace, and saturate`() {
        #expect(SingularValueDecomposition<Double>.byteCount(rows: 14_336, columns: 4096) == 8 * 201_355_264 + 131_072)
        #expect(SingularValueDecomposition<Float>.byteCount(rows: 4096, columns: 14_336) == 4 * 201_355_264 + 131_072)
        #expect(SingularValueDecomposition<Float>.byteCount(rows: .max, columns: .max) == .max)
        // 4s² + (8 + 1024)s + 2r(m + n) elements and 5s integers.
        #expect(
            SingularValueDecomposition<Double>.gramByteCount(rows: 14_336, columns: 4096, rank: 512)
                == 8 * (4 * 4096 * 4096 + 1032 * 4096 + 2 * 512 * 18_432) + 20 * 4096)
        #expect(SingularValueDecomposition<Double>.gramByteCount(rows: .max, columns: .max) == .max)
    }

    // MARK: -

    /// U · S · Vᵀ, where U and V are columns of two reflections 1 − 2wwᵀ/|w|².
    private func matrix(_ spectrum: [Double], rows: Int, columns: Int) throws -> Matrix<Double> {
        func reflection(_ row: Int, _ column: Int, order: Int) -> Double {
            // 1 + 4 + 9 + …
            let square = Double(order * (order + 1) * (2 * order + 1)) / 6
            let identity: Double = row == column ? 1 : 0
            return identity - 2 * Double((row + 1) * (column + 1)) / square
        }
        var elements: [Double] = []
        for row in 0..<rows {
            for column in 0..<columns {
                var sum = 0.0
                for (index, value) in spectrum.enumerated() {
                    let right = reflection(column, index, order: columns)
                    sum += reflection(row, index, order: rows) * value * right
                }
                elements.append(sum)
            }
        }
        return try Matrix(rows: rows, columns: columns, elements: elements)
    }
}

/// Expects descending values, orthonormal vectors, and the matrix as their product.
func expectDecomposition<Scalar>(
    _ svd: borrowing SingularValueDecomposition<Scalar>, of elements: [Double], tolerance: Double,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    try expectOrthonormal(svd, tolerance: tolerance, sourceLocation: sourceLocation)
    let (rows, columns) = (svd.left.rowCount, svd.right.columnCount)
    var product: [Double] = []
    for row in 0..<rows {
        for column in 0..<columns {
            var sum = 0.0
            for (index, value) in svd.values.enumerated() {
                sum += Double(svd.left[row, index]) * Double(value) * Double(svd.right[index, column])
            }
            product.append(sum)
        }
    }
    expectClose(product, elements, absolute: tolerance, sourceLocation: sourceLocation)
}

/// Expects descending values that are not negative, and orthonormal vectors.
func expectOrthonormal<Scalar>(
    _ svd: borrowing SingularValueDecomposition<Scalar>, tolerance: Double,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let count = svd.values.count
    #expect(svd.values.allSatisfy { $0 >= 0 }, sourceLocation: sourceLocation)
    #expect(zip(svd.values, svd.values.dropFirst()).allSatisfy { $0 >= $1 }, sourceLocation: sourceLocation)
    var (products, identity): ([Double], [Double]) = ([], [])
    for first in 0..<count {
        for second in 0...first {
            var (left, right) = (0.0, 0.0)
            for row in 0..<svd.left.rowCount { left += Double(svd.left[row, first]) * Double(svd.left[row, second]) }
            for column in 0..<svd.right.columnCount {
                right += Double(svd.right[first, column]) * Double(svd.right[second, column])
            }
            products += [left, right]
            identity += first == second ? [1, 1] : [0, 0]
        }
    }
    expectClose(products, identity, absolute: tolerance, sourceLocation: sourceLocation)
}
