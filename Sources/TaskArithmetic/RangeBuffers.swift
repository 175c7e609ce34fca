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

extension RangeBuffers where Scalar == Float {
    mutating func beginAtZero(count: Int) {
        base.withMutablePrefix(count) { span in
            for index in span.indices { span[index] = 0 }
        }
        sum.withMutablePrefix(count) { span in
            for index in span.indices { span[index] = 0 }
        }
    }

    mutating func begin(base bytes: RawSpan, type: ElementType, count: Int) throws(LinearAlgebraError) {
        try base.withMutablePrefix(count) { (span: inout MutableSpan<Float>) throws(LinearAlgebraError) in
            try type.decode(bytes, into: &span)
        }
        sum.withMutablePrefix(count) { span in
            for index in span.indices { span[index] = 0 }
        }
    }

    mutating func add(
        _ bytes: RawSpan,
        type: ElementType,
        weight: Double,
        count: Int
    ) throws(LinearAlgebraError) {
        try base.withSpan { (base: Span<Float>) throws(LinearAlgebraError) in
            try sum.withMutablePrefix(count) { (span: inout MutableSpan<Float>) throws(LinearAlgebraError) in
                try type.addDifference(
                    times: Float(weight),
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
        try base.withSpan { (base: Span<Float>) throws(LinearAlgebraError) in
            try sum.withMutablePrefix(count) { (span: inout MutableSpan<Float>) throws(LinearAlgebraError) in
                try type.encodeSum(
                    base: base.extracting(0..<count),
                    adding: &span,
                    times: Float(scale),
                    into: &bytes
                )
            }
        }
    }
}

extension RangeBuffers where Scalar == Double {
    mutating func beginAtZero(count: Int) {
        base.withMutablePrefix(count) { span in
            for index in span.indices { span[index] = 0 }
        }
        sum.withMutablePrefix(count) { span in
            for index in span.indices { span[index] = 0 }
        }
    }

    mutating func begin(base bytes: RawSpan, type: ElementType, count: Int) throws(LinearAlgebraError) {
        try base.withMutablePrefix(count) { (span: inout MutableSpan<Double>) throws(LinearAlgebraError) in
            try type.decode(bytes, into: &span)
        }
        sum.withMutablePrefix(count) { span in
            for index in span.indices { span[index] = 0 }
        }
    }

    mutating func add(
        _ bytes: RawSpan,
        type: ElementType,
        weight: Double,
        count: Int
    ) throws(LinearAlgebraError) {
        try base.withSpan { (base: Span<Double>) throws(LinearAlgebraError) in
            try sum.withMutablePrefix(count) { (span: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                try type.addDifference(
                    times: weight,
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
        try base.withSpan { (base: Span<Double>) throws(LinearAlgebraError) in
            try sum.withMutablePrefix(count) { (span: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                try type.encodeSum(
                    base: base.extracting(0..<count),
                    adding: &span,
                    times: scale,
                    into: &bytes
                )
            }
        }
    }
}
