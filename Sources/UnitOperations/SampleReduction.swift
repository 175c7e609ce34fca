import KroneckerFactors

/// The reduction of each sample's rows when samples have different numbers of rows: the rows' sample numbers, in files.
///
/// The worker reads the numbers beside the rows and makes one row of each sample's, so that chunks and memory do not
/// depend on the longest sample.
///
/// Source: DESIGN section 2.1, `reduce`.
public struct SampleReduction: Equatable, Sendable {
    /// Whether a sample's rows are averaged (ā) rather than summed (ḡ).
    public var isMean: Bool
    /// The sample numbers of each slice of rows, in order.
    ///
    /// A slice has its numbers once for each probe: they begin again with each block of rows.
    public var numbers: [SampleNumbers]

    /// Describes a reduction.
    public init(isMean: Bool, numbers: [SampleNumbers]) {
        self.isMean = isMean
        self.numbers = numbers
    }
}

/// The sample of each row in a part of a capture: integers from 0 that do not decrease.
public struct SampleNumbers: Hashable, Sendable {
    /// The numbers' bytes.
    public var slice: FileSlice
    /// Whether they are I64 rather than I32.
    public var isWide: Bool
    /// The number of samples of the part, above every number.
    public var samples: Int

    /// Describes sample numbers.
    public init(slice: FileSlice, isWide: Bool, samples: Int) {
        self.slice = slice
        self.isWide = isWide
        self.samples = samples
    }

    /// Bytes of one number.
    public var numberBytes: Int { isWide ? 8 : 4 }
    /// The number of rows that they number.
    public var rows: Int { Int(clamping: slice.byteCount) / numberBytes }
}

extension SampleNumbers {
    init(_ wire: WireSampleNumbers, _ files: FileNumbering) throws(OperationError) {
        self.init(
            slice: try FileSlice(wire.slice, files), isWide: wire.isWide,
            samples: try count(wire.samples, "a number of samples", most: OperationLimits.elementsMax))
        guard rows > 0, slice.byteCount.isMultiple(of: UInt64(numberBytes)) else {
            throw .malformed("sample numbers have \(slice.byteCount) bytes")
        }
    }

    func wire(_ files: inout FileNumbering) -> WireSampleNumbers {
        var wire = WireSampleNumbers()
        wire.slice = slice.wire(&files)
        wire.isWide = isWide
        wire.samples = UInt64(samples)
        return wire
    }
}
