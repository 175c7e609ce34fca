/// A dense matrix in fp64, for values that a test computes by its own formulas.
struct DenseMatrix {
    let rows: Int
    let columns: Int
    var elements: [Double]

    init(_ rows: Int, _ columns: Int, _ elements: [Double]? = nil) {
        (self.rows, self.columns) = (rows, columns)
        self.elements = elements ?? [Double](repeating: 0, count: rows * columns)
    }

    /// Σ v vᵀ.
    init(gramOf vectors: [[Double]], dimension: Int) {
        self.init(dimension, dimension)
        for vector in vectors {
            for row in 0..<dimension {
                for column in 0..<dimension { self[row, column] += vector[row] * vector[column] }
            }
        }
    }

    subscript(row: Int, column: Int) -> Double {
        get { elements[row * columns + column] }
        set { elements[row * columns + column] = newValue }
    }

    var transposed: DenseMatrix {
        var result = DenseMatrix(columns, rows)
        for row in 0..<rows {
            for column in 0..<columns { result[column, row] = self[row, column] }
        }
        return result
    }

    var trace: Double { (0..<rows).reduce(0) { $0 + self[$1, $1] } }

    /// The matrix with a value added to its diagonal.
    func adding(_ value: Double) -> DenseMatrix {
        var result = self
        for row in 0..<rows { result[row, row] += value }
        return result
    }

    /// The Kronecker product, which maps the rows of X, one after the other, to those of `self · X · otherᵀ`.
    func kronecker(_ other: DenseMatrix) -> DenseMatrix {
        var result = DenseMatrix(rows * other.rows, columns * other.columns)
        for row in 0..<result.rows {
            for column in 0..<result.columns {
                result[row, column] =
                    self[row / other.rows, column / other.columns] * other[row % other.rows, column % other.columns]
            }
        }
        return result
    }

    /// The solution x of `self · x = right`, by elimination with pivots.
    func solving(_ right: [Double]) -> [Double] {
        var (matrix, x) = (self, right)
        for step in 0..<rows {
            let pivot = (step..<rows).max { abs(matrix[$0, step]) < abs(matrix[$1, step]) } ?? step
            for column in 0..<rows {
                let value = matrix[step, column]
                matrix[step, column] = matrix[pivot, column]
                matrix[pivot, column] = value
            }
            x.swapAt(step, pivot)
            for row in step + 1..<max(step + 1, rows) {
                let factor = matrix[row, step] / matrix[step, step]
                for column in step..<rows { matrix[row, column] -= factor * matrix[step, column] }
                x[row] -= factor * x[step]
            }
        }
        for row in (0..<rows).reversed() {
            for column in row + 1..<max(row + 1, rows) { x[row] -= matrix[row, column] * x[column] }
            x[row] /= matrix[row, row]
        }
        return x
    }

    static func * (left: DenseMatrix, right: DenseMatrix) -> DenseMatrix {
        var result = DenseMatrix(left.rows, right.columns)
        for row in 0..<left.rows {
            for column in 0..<right.columns {
                for inner in 0..<left.columns { result[row, column] += left[row, inner] * right[inner, column] }
            }
        }
        return result
    }

    static func * (scale: Double, matrix: DenseMatrix) -> DenseMatrix {
        DenseMatrix(matrix.rows, matrix.columns, matrix.elements.map { scale * $0 })
    }

    static func + (left: DenseMatrix, right: DenseMatrix) -> DenseMatrix {
        DenseMatrix(left.rows, left.columns, zip(left.elements, right.elements).map { $0 + $1 })
    }
}

extension [DenseMatrix] {
    /// The sum of matrices of one shape; there is at least one.
    var sum: DenseMatrix { dropFirst().reduce(self[0]) { $0 + $1 } }
}
