public import LinearAlgebra

/// Combines the partial sums of a factor whose rows were split among units.
///
/// Both functions take ranges of the stored elements, so that a factor of any size fits through small buffers. For each
/// range, add the units' partial sums in the order of their rows, then normalise.
public enum PartialSums {
    /// `total += partial` over one range, in fp64.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` for unequal lengths; `total` is then unchanged.
    public static func add(
        _ partial: Span<Double>,
        to total: inout MutableSpan<Double>
    ) throws(KroneckerFactorsError) {
        do {
            try VectorOperations.add(partial, to: &total)
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// `destination = total / divisor` over one range, rounded once to fp32.
    ///
    /// - Parameters:
    ///   - total: `[count]`.
    ///   - divisor: From ``FactorNormalization/divisor(of:counts:)``.
    ///   - firstElement: The index of the range's first element among the stored ones.
    ///   - shape: The factor's shape.
    ///   - destination: `[count]`.
    /// - Throws: ``KroneckerFactorsError/exceedsStorage(row:)`` when an element is not finite in fp32, after
    ///   writing `destination`; ``KroneckerFactorsError/linearAlgebra(_:)`` for unequal lengths.
    public static func normalize(
        _ total: Span<Double>,
        divisor: Double,
        firstElement: Int,
        of shape: SymmetricShape,
        into destination: inout MutableSpan<Float>
    ) throws(KroneckerFactorsError) {
        do {
            try VectorOperations.divide(total, by: divisor, into: &destination)
        } catch {
            throw .linearAlgebra(error)
        }
        try requireStorable(destination.span, firstElement: firstElement, of: shape)
    }

    /// Refuses elements of a range that fp32, the storage type of factors, could not hold.
    ///
    /// A sum over tasks may exceed it, even if no task's factor does.
    static func requireStorable(
        _ elements: Span<Float>, firstElement: Int, of shape: SymmetricShape
    ) throws(KroneckerFactorsError) {
        guard let place = ElementType.f32.firstNonFinite(in: elements.bytes) else { return }
        throw .exceedsStorage(row: shape.row(containing: firstElement + place))
    }
}
