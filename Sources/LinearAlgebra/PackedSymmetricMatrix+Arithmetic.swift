extension PackedSymmetricMatrix where Scalar == Double {
    /// `self += scale · other`, other widened.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal shapes; `self` is then
    ///   unchanged.
    public mutating func add(
        _ other: borrowing PackedSymmetricMatrix<Float>,
        times scale: Double
    ) throws(LinearAlgebraError) {
        try requireShape(of: other, "an added matrix")
        var sum = unsafe storage.mutableElements.mutableSpan
        try VectorOperations.add(unsafe other.storage.elements.span, times: scale, to: &sum)
    }

    /// `self += scale · other`.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal shapes; `self` is then
    ///   unchanged.
    public mutating func add(
        _ other: borrowing PackedSymmetricMatrix<Double>,
        times scale: Double
    ) throws(LinearAlgebraError) {
        try requireShape(of: other, "an added matrix")
        var sum = unsafe storage.mutableElements.mutableSpan
        try VectorOperations.add(unsafe other.storage.elements.span, times: scale, to: &sum)
    }

    /// `self *= scale`.
    public mutating func multiply(by scale: Double) {
        for index in 0..<elementCount { unsafe storage.base[index] *= scale }
    }

    /// Multiplies every element off the diagonal by a number.
    public mutating func multiplyOffDiagonal(by scale: Double) {
        guard !shape.isDiagonal else { return }
        for row in 0..<dimension {
            let elements = unsafe storage.base + PackedTriangle.offset(ofRow: row)
            for column in 0..<row { unsafe elements[column] *= scale }
        }
    }
}

extension PackedSymmetricMatrix where Scalar == Float {
    /// `self *= scale`; each product is formed in fp64 and rounded once.
    public mutating func multiply(by scale: Double) {
        for index in 0..<elementCount { unsafe storage.base[index] = Float(Double(storage.base[index]) * scale) }
    }
}
