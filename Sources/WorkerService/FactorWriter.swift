import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// Writes a factor as a packed fp32 triangle or a diagonal, part by part, and checks that fp32 holds it.
///
/// On request it writes the same in fp64 beside it, as a second blob.
struct FactorWriter: ~Copyable {
    private let shape: SymmetricShape
    private let divisor: Double
    /// What the factor is, for messages; it ends with a colon and a space.
    private let place: String
    private let blobs: UnitBlobs
    private let writer: CacheWriter
    private var elements: Matrix<Float>
    /// The second blob, and room for its part.
    private let doubleWriter: CacheWriter?
    private var doubles: Matrix<Double>
    private var trace = 0.0
    /// The largest diagonal element, as it is stored.
    private var largest = Float(0)
    private var isZero = true

    /// Reserves room for the factor.
    ///
    /// - Parameters:
    ///   - shape: The factor's shape.
    ///   - capacity: The most elements of a part.
    ///   - divisor: What every element is divided by.
    ///   - givesDouble: Whether the factor is also written in fp64.
    ///   - place: What the factor is, for messages; it ends with a colon and a space.
    ///   - blobs: The unit's blobs.
    /// - Throws: `LinearAlgebraError` for an impossible dimension, or ``BlobCacheError`` without room.
    init(
        _ shape: SymmetricShape, capacity: Int, divisor: Double = 1, givesDouble: Bool, place: String,
        blobs: UnitBlobs
    ) throws {
        let byteCount = try PackedRanges.byteCount(of: shape)
        let writer = try blobs.beginWrite(byteCount: byteCount)
        let elements = try Matrix<Float>(rows: 1, columns: capacity)
        let doubleWriter = givesDouble ? try blobs.beginWrite(byteCount: 2 * byteCount) : nil
        let doubles = try Matrix<Double>(rows: 1, columns: givesDouble ? capacity : 0)
        self.shape = shape
        self.divisor = divisor
        self.place = place
        self.blobs = blobs
        self.writer = writer
        self.elements = elements
        self.doubleWriter = doubleWriter
        self.doubles = doubles
    }

    /// Appends the next stored elements, divided and rounded once.
    ///
    /// - Parameters:
    ///   - sums: The elements in fp64.
    ///   - firstElement: The index of the first one among the stored ones.
    /// - Throws: ``UnitError/badInput(_:)`` for an element that fp32 cannot hold, or what writing throws.
    mutating func append(_ sums: Span<Double>, at firstElement: Int) throws {
        let count = sums.count
        do throws(KroneckerFactorsError) {
            let (shape, divisor) = (shape, divisor)
            try elements.withMutablePrefix(count) { (part: inout MutableSpan<Float>) throws(KroneckerFactorsError) in
                try PartialSums.normalize(sums, divisor: divisor, firstElement: firstElement, of: shape, into: &part)
            }
        } catch {
            guard error.isBadInput else { throw error }
            throw UnitError.badInput("\(place)\(error)")
        }
        let range = firstElement..<firstElement + count
        var (trace, largest, isZero) = (trace, largest, isZero)
        try elements.withSpan { span throws in
            let elements = span.extracting(first: count)
            shape.forEachDiagonal(in: range) { index in
                trace += Double(elements[index])
                if elements[index] > largest { largest = elements[index] }
                isZero = isZero && sums[index] == 0
            }
            try writer.append(elements.bytes)
        }
        (self.trace, self.largest, self.isZero) = (trace, largest, isZero)
        guard let doubleWriter else { return }
        let divisor = divisor
        try doubles.withMutablePrefix(count) { part throws in
            try VectorOperations.divide(sums, by: divisor, into: &part)
        }
        try doubles.withSpan { try doubleWriter.append($0.extracting(first: count).bytes) }
    }

    /// Appends all elements of a sum.
    ///
    /// - Throws: As ``append(_:at:)``.
    mutating func append(_ sum: borrowing PackedSymmetricMatrix<Double>) throws {
        let capacity = elements.columnCount
        try sum.withSpan { sums throws in
            for first in stride(from: 0, to: sums.count, by: capacity) {
                try append(sums.extracting(first..<min(first + capacity, sums.count)), at: first)
                try blobs.progress.step()
            }
        }
    }

    /// Ends the factor.
    ///
    /// - Returns: The blob, the one in fp64 if there is one, and the trace.
    /// - Throws: ``UnitError/badInput(_:)`` for a factor that is not zero and vanishes in fp32, or what writing throws.
    consuming func finish() throws -> UnitResult {
        guard isZero || largest >= Float.leastNormalMagnitude else {
            throw UnitError.badInput(
                "\(place)vanishes in fp32: its largest diagonal element is \(largest). Scale the captures or factors "
                    + "of all tasks up.")
        }
        var result = UnitResult(blobs: [try blobs.finish(writer)], measurements: [.trace: [trace]])
        if let doubleWriter { result.blobs.append(try blobs.finish(doubleWriter)) }
        return result
    }
}
