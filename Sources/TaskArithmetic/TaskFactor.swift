public import LinearAlgebra

/// One factor of a task as a merge reads it: fp32, or fp64 where the job keeps what fp32 drops.
///
/// Arithmetic with either is fp64.
public enum TaskFactor: ~Copyable, Sendable {
    /// Packed, fp32.
    case single(PackedSymmetricMatrix<Float>)
    /// Packed, fp64.
    case double(PackedSymmetricMatrix<Double>)

    /// The rows and columns, and the elements that are stored.
    public var shape: SymmetricShape {
        switch self {
        case .single(let matrix): matrix.shape
        case .double(let matrix): matrix.shape
        }
    }

    /// Rows and columns.
    public var dimension: Int { shape.dimension }

    /// The sum of the diagonal.
    public var trace: Double {
        switch self {
        case .single(let matrix): matrix.trace
        case .double(let matrix): matrix.trace
        }
    }

    /// The diagonal.
    public var diagonal: [Double] {
        switch self {
        case .single(let matrix): matrix.diagonal.map(Double.init)
        case .double(let matrix): matrix.diagonal
        }
    }

    /// ‖F‖², by the Frobenius norm.
    var squaredNorm: Double {
        switch self {
        case .single(let matrix): matrix.squaredNorm
        case .double(let matrix): matrix.squaredNorm
        }
    }

    /// The factor for products.
    /// - Throws: The errors of `PackedSymmetricMatrix.operand()`.
    borrowing func operand() throws(LinearAlgebraError) -> SymmetricOperand {
        switch self {
        case .single(let matrix): try matrix.operand()
        case .double(let matrix): try matrix.operand()
        }
    }

    /// The factor minus a mean, for products.
    /// - Throws: The errors of `PackedSymmetricMatrix.operand(minus:)`.
    borrowing func operand(
        minus mean: borrowing PackedSymmetricMatrix<Double>
    ) throws(LinearAlgebraError) -> SymmetricOperand {
        switch self {
        case .single(let matrix): try matrix.operand(minus: mean)
        case .double(let matrix): try matrix.operand(minus: mean)
        }
    }

    /// The full square; a diagonal has none.
    /// - Throws: The errors of `PackedSymmetricMatrix.unpacked()`.
    borrowing func unpacked() throws(LinearAlgebraError) -> Matrix<Double> {
        switch self {
        case .single(let matrix): try Matrix<Double>(widening: try matrix.unpacked())
        case .double(let matrix): try matrix.unpacked()
        }
    }

    /// The lower triangle of a square; the upper triangle is zero.
    /// - Throws: The errors of `PackedSymmetricMatrix.unpackedLower(times:)`.
    public borrowing func unpackedLower() throws(LinearAlgebraError) -> Matrix<Double> {
        switch self {
        case .single(let matrix): try matrix.unpackedLower()
        case .double(let matrix): try matrix.unpackedLower()
        }
    }
}

extension PackedSymmetricMatrix {
    /// ‖M‖².
    fileprivate var squaredNorm: Double {
        let stored = withSpan { span in
            var sum = 0.0
            for index in span.indices { sum += Double(span[index]) * Double(span[index]) }
            return sum
        }
        guard !shape.isDiagonal else { return stored }
        return 2 * stored - diagonal.reduce(0) { $0 + Double($1) * Double($1) }
    }
}

extension PackedSymmetricMatrix where Scalar == Double {
    /// `self += scale · factor`.
    /// - Throws: `LinearAlgebraError.lengthMismatch` for unequal shapes; `self` is then unchanged.
    mutating func add(_ factor: borrowing TaskFactor, times scale: Double) throws(LinearAlgebraError) {
        switch factor {
        case .single(let matrix): try add(matrix, times: scale)
        case .double(let matrix): try add(matrix, times: scale)
        }
    }
}
