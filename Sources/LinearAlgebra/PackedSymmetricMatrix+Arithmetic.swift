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

    /// `self *= scale`.
    public mutating func multiply(by scale: Double) {
        for index in 0..<elementCount { unsafe storage.base[index] *= scale }
    }
}

extension PackedSymmetricMatrix where Scalar == Float {
    /// `self *= scale`; each product is formed in fp64 and rounded once.
    public mutating func multiply(by scale: Double) {
        for index in 0..<elementCount { unsafe storage.base[index] = Float(Double(storage.base[index]) * scale) }
    }
}
