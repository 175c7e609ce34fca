import LinearAlgebra
import TestSupport
import Testing

/// Products with triangles: Gram matrices, and the factor L of M_ij = min(i, j) + 1, which is all ones.
struct TriangleTests {
    private func ones(_ order: Int) throws -> CholeskyFactor {
        var matrix = try Matrix<Double>(rows: order, columns: order)
        for row in 0..<order { for column in 0..<order { matrix[row, column] = Double(min(row, column) + 1) } }
        return try CholeskyFactor(factorizing: matrix)
    }

    @Test func `a product with L of ones sums rows from the top, and with its transpose from the bottom`() throws {
        let cholesky = try ones(3)
        func product(_ operation: Transposition, _ side: ProductSide, _ elements: [Double]) throws -> [Double] {
            var matrix = try Matrix<Double>(
                rows: side == .left ? 3 : 2, columns: side == .left ? 2 : 3, elements: elements)
            try cholesky.multiplyTriangle(operation, into: &matrix, on: side)
            let found = matrix.elements
            try cholesky.solveTriangle(operation, &matrix, on: side)
            expectClose(matrix.elements, elements, absolute: 1e-14)
            return found
        }
        let elements: [Double] = [1, 2, 3, 4, 5, 6]
        #expect(try product(.none, .left, elements) == [1, 2, 4, 6, 9, 12])
        #expect(try product(.transposed, .left, elements) == [9, 12, 8, 10, 5, 6])
        #expect(try product(.none, .right, elements) == [6, 5, 3, 15, 11, 6])
        #expect(try product(.transposed, .right, elements) == [1, 3, 6, 4, 9, 15])
    }

    @Test func `a triangle of another side is refused`() throws {
        let cholesky = try ones(3)
        let error = LinearAlgebraError.lengthMismatch(buffer: "the right-hand side", expected: 3, found: 2)
        #expect(throws: error) {
            var matrix = try Matrix<Double>(rows: 2, columns: 3)
            try cholesky.multiplyTriangle(.none, into: &matrix, on: .left)
        }
        #expect(throws: error) {
            var matrix = try Matrix<Double>(rows: 3, columns: 2)
            try cholesky.solveTriangle(.none, &matrix, on: .right)
        }
    }

    @Test func `Gram matrices of rows and columns are added to the lower triangle`() throws {
        let matrix = try Matrix<Double>(rows: 2, columns: 3, elements: [1, 2, 3, 4, 5, 6])
        var columns = try Matrix<Double>(rows: 3, columns: 3, elements: [1, 7, 7, 0, 0, 7, 0, 0, 0])
        try columns.addGramMatrix(of: matrix, .columns, scale: 2)
        #expect(columns.elements == [35, 7, 7, 44, 58, 7, 54, 72, 90])
        var rows = try Matrix<Double>(rows: 2, columns: 2)
        try rows.addGramMatrix(of: matrix, .rows)
        #expect(rows.elements == [14, 0, 32, 77])
        #expect(
            throws: LinearAlgebraError.lengthMismatch(buffer: "the Gram matrix's rows", expected: 3, found: 2)
        ) {
            var small = try Matrix<Double>(rows: 2, columns: 2)
            try small.addGramMatrix(of: matrix, .columns)
        }
    }

    @Test func `elements off the diagonal are multiplied, those of a diagonal are not there`() throws {
        var packed = try PackedSymmetricMatrix<Double>(dimension: 3, elements: [1, 2, 3, 4, 5, 6])
        packed.multiplyOffDiagonal(by: 0.5)
        #expect(packed.elements == [1, 1, 3, 2, 2.5, 6])
        var operand = try PackedSymmetricMatrix<Float>(dimension: 2, elements: [1, 2, 3]).operand()
        operand.multiplyOffDiagonal(by: 0.25)
        var product = try Matrix<Double>(rows: 2, columns: 1)
        try product.addSymmetricProduct(operand, on: .left, of: Matrix(rows: 2, columns: 1, elements: [1, 10]))
        #expect(product.elements == [6, 30.5])
        var diagonal = try PackedSymmetricMatrix<Double>(shape: .diagonal(2), elements: [3, 4])
        diagonal.multiplyOffDiagonal(by: 0)
        #expect(diagonal.elements == [3, 4])
        try diagonal.add(PackedSymmetricMatrix<Double>(shape: .diagonal(2), elements: [1, 1]), times: -2)
        #expect(diagonal.elements == [1, 2])
    }
}
