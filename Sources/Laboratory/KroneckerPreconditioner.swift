import LinearAlgebra
import ReferenceModel

/// The damped inverse of K-FAC, which stands for the inverse of a Gauss-Newton matrix in a conjugate-gradient solution.
///
/// With B = W diag(b) Wᵀ and A = U diag(a) Uᵀ a layer's Δ becomes W [(Wᵀ Δ U)ᵢⱼ / (bᵢ aⱼ + γ m)] Uᵀ, where m is the
/// mean of all bᵢ aⱼ.
struct KroneckerPreconditioner: Sendable {
    /// γ, relative to the mean eigenvalue.
    static let damping: Float = 0.1

    /// A symmetric matrix Rᵀ diag(values) R.
    private struct Side: Sendable {
        let values: [Float]
        /// The eigenvectors, `[side, side]`.
        let rows: [Float]

        /// A matrix of one element, 1.
        static let one = Side(values: [1], rows: [1])

        private init(values: [Float], rows: [Float]) {
            self.values = values
            self.rows = rows
        }

        init(_ matrix: [Float], _ side: Int) throws(LinearAlgebraError) {
            let whole = try Matrix<Double>(rows: side, columns: side, elements: matrix.map(Double.init))
            let eigen = try SymmetricEigen(decomposing: whole)
            // Rounding makes zeros of a semi-definite matrix negative.
            values = eigen.values.map { Float(max(0, $0)) }
            rows = eigen.vectors.elements.map { Float($0) }
        }
    }

    private struct Layer: Sendable {
        let layer: ParameterLayout.Layer
        let input: Side
        let gradient: Side
    }

    private struct Vector: Sendable {
        let entry: ParameterLayout.Entry
        let block: Side
    }

    private let layers: [Layer]
    private let vectors: [Vector]

    /// The inverse of a penalty of one term.
    ///
    /// - Throws: `LinearAlgebraError` when a factor cannot be decomposed.
    init(_ penalty: CurvaturePenalty) throws(LinearAlgebraError) {
        var (layers, vectors): ([Layer], [Vector]) = ([], [])
        for term in penalty.layers {
            layers.append(
                Layer(
                    layer: term.layer, input: try Side(term.input, term.inputSide),
                    gradient: try Side(term.gradient, term.layer.outputWidth)))
        }
        for term in penalty.vectors {
            vectors.append(Vector(entry: term.entry, block: try Side(term.block, term.entry.count)))
        }
        self.layers = layers
        self.vectors = vectors
    }

    /// The inverse times a vector, in the layout's order.
    func applied(to vector: [Float]) -> [Float] {
        var result = [Float](repeating: 0, count: vector.count)
        var delta: [Float] = []
        for layer in layers {
            layer.layer.gather(from: vector, into: &delta)
            let solved = Self.solved(delta, layer.gradient, layer.input)
            layer.layer.scatter(solved, scale: 1, addingTo: &result)
        }
        for term in vectors {
            let solved = Self.solved(Array(vector[term.entry.range]), term.block, .one)
            for (index, value) in zip(term.entry.range, solved) { result[index] = value }
        }
        return result
    }

    /// Δ of `[gradient side, input side]`, solved.
    private static func solved(_ delta: [Float], _ gradient: Side, _ input: Side) -> [Float] {
        let (rows, columns) = (gradient.values.count, input.values.count)
        let block = MatrixBlock(rows: rows, columns: columns)
        let (left, right) = (MatrixBlock(rows: rows, columns: rows), MatrixBlock(rows: columns, columns: columns))
        var half = [Float](repeating: 0, count: rows * columns)
        var result = half
        BlockProduct.multiply(gradient.rows, left, .none, delta, block, .none, into: &half, block)
        BlockProduct.multiply(half, block, .none, input.rows, right, .transposed, into: &result, block)
        let mean = (gradient.values.reduce(0, +) / Float(rows)) * (input.values.reduce(0, +) / Float(columns))
        // Without curvature nothing tells a scale; the gradient is then zero too.
        guard mean > 0 else { return half.map { _ in 0 } }
        for row in 0..<rows {
            for column in 0..<columns {
                result[row * columns + column] /= gradient.values[row] * input.values[column] + damping * mean
            }
        }
        BlockProduct.multiply(gradient.rows, left, .transposed, result, block, .none, into: &half, block)
        BlockProduct.multiply(half, block, .none, input.rows, right, .none, into: &result, block)
        return result
    }
}
