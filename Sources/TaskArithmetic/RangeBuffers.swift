import LinearAlgebra

/// The base's values θ_0 and the running sum Σ w_t (θ_t − θ_0) of one range, in one precision.
struct RangeBuffers<Scalar: MatrixScalar>: ~Copyable, Sendable {
    private var base: Matrix<Scalar>
    private var sum: Matrix<Scalar>

    init(capacity: Int) throws(LinearAlgebraError) {
        let base = try Matrix<Scalar>(rows: 1, columns: capacity)
        let sum = try Matrix<Scalar>(rows: 1, columns: capacity)
        self.base = base
        self.sum = sum
    }
}

extension RangeBuffers {
    mutating func beginAtZero(count: Int) {
        base.clearPrefix(count)
        sum.clearPrefix(count)
    }

    mutating func begin(base bytes: RawSpan, type: ElementType, count: Int) throws(LinearAlgebraError) {
        try base.withMutablePrefix(count) { (span: inout MutableSpan<Scalar>) throws(LinearAlgebraError) in
            try type.decode(bytes, into: &span)
        }
        sum.clearPrefix(count)
    }

    mutating func add(
        _ bytes: RawSpan,
        type: ElementType,
        weight: Double,
        count: Int
    ) throws(LinearAlgebraError) {
        try base.withSpan { (base: Span<Scalar>) throws(LinearAlgebraError) in
            try sum.withMutablePrefix(count) { (span: inout MutableSpan<Scalar>) throws(LinearAlgebraError) in
                try type.addDifference(
                    times: Scalar(weight),
                    of: bytes,
                    from: base.extracting(0..<count),
                    to: &span
                )
            }
        }
    }

    mutating func finish(
        scale: Double,
        into bytes: inout MutableRawSpan,
        type: ElementType,
        count: Int
    ) throws(LinearAlgebraError) {
        try base.withSpan { (base: Span<Scalar>) throws(LinearAlgebraError) in
            try sum.withMutablePrefix(count) { (span: inout MutableSpan<Scalar>) throws(LinearAlgebraError) in
                try type.encodeSum(
                    base: base.extracting(0..<count),
                    adding: &span,
                    times: Scalar(scale),
                    into: &bytes
                )
            }
        }
    }
}
