internal import COpenBLAS

extension ElementType {
    /// The largest magnitude that the type holds.
    public var largestFinite: Double {
        switch self {
        case .f64: .greatestFiniteMagnitude
        case .f32: Double(Float.greatestFiniteMagnitude)
        case .f16: 65504
        case .bf16: Double(Float(bitPattern: 0x7F7F_0000))
        }
    }

    /// The smallest type, of those with more range than this one, that holds a magnitude; nil when none does.
    public func wider(holding magnitude: Double) -> ElementType? {
        [ElementType.bf16, .f32, .f64].first { $0.largestFinite > largestFinite && magnitude <= $0.largestFinite }
    }

    /// The position of the first NaN or infinity; nil when all elements are finite.
    ///
    /// The search is a vector loop over the bits. For bytes in a cache it costs almost nothing compared with reading
    /// them. Bytes after the last whole element are ignored.
    public func firstNonFinite(in bytes: RawSpan) -> Int? {
        let count = bytes.byteCount / byteCount
        return unsafe bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            for first in stride(from: 0, to: count, by: Self.blockCount) {
                let length = min(Self.blockCount, count - first)
                guard unsafe holdsNonFinite(base + first * byteCount, count: length) else { continue }
                return (first..<first + length).first { unsafe holdsNonFinite(base + $0 * byteCount, count: 1) }
            }
            return nil
        }
    }

    /// The positions of all NaN and infinities, in order.
    ///
    /// The list may be long, so use it only for errors.
    public func nonFinitePositions(in bytes: RawSpan) -> [Int] {
        guard let first = firstNonFinite(in: bytes) else { return [] }
        return unsafe bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return [] }
            return (first..<bytes.count / byteCount).filter {
                unsafe holdsNonFinite(base + $0 * byteCount, count: 1)
            }
        }
    }

    private func holdsNonFinite(_ source: UnsafeRawPointer, count: Int) -> Bool {
        var found: CInt = 0
        switch self {
        case .f64: unsafe kfacd_find_nonfinite_64(source, count, 0x7FF0_0000_0000_0000, &found)
        case .f32: unsafe kfacd_find_nonfinite_32(source, count, 0x7F80_0000, &found)
        case .f16: unsafe kfacd_find_nonfinite_16(source, count, 0x7C00, &found)
        case .bf16: unsafe kfacd_find_nonfinite_16(source, count, 0x7F80, &found)
        }
        return found != 0
    }
}

/// Finite values that an element type cannot hold, found when a result is written.
public struct RangeOverflow: Error, Equatable, Sendable, CustomStringConvertible {
    /// The number of values.
    public var count: Int
    /// The index of the first one in the tensor.
    public var firstIndex: Int
    /// The largest magnitude of these values.
    public var magnitude: Double
    /// The type that cannot hold them.
    public var type: ElementType
    /// Whether the values are merged, so that they depend on the weights; otherwise they are copied.
    public var isMerged: Bool

    /// Describes values beyond a type's range.
    public init(count: Int, firstIndex: Int, magnitude: Double, type: ElementType, isMerged: Bool = true) {
        self.isMerged = isMerged
        self.count = count
        self.firstIndex = firstIndex
        self.magnitude = magnitude
        self.type = type
    }

    /// The problem, and a type that would hold the values; the caller puts the tensor in front.
    public var description: String {
        let kind = isMerged ? "merged" : "copied"
        let values = count == 1 ? "1 \(kind) value is" : "\(count) \(kind) values are"
        guard !isMerged || magnitude.isFinite else {
            return "\(count == 1 ? "1 merged value overflows" : "\(count) merged values overflow") in the sum over the "
                + "models; the first is element \(firstIndex). Lower the weights or \"lambda\"."
        }
        let what =
            "\(values) finite but beyond \(type.rawValue), which ends at \(type.largestFinite); the first is element "
            + "\(firstIndex), the largest magnitude \(magnitude)."
        guard let wider = type.wider(holding: magnitude) else {
            return what + (isMerged ? " No type holds it: lower the weights or \"lambda\"." : " No type holds it.")
        }
        return what + " \(wider.rawValue) would hold it: write \"dtype: \(wider.word)\""
            + (isMerged ? ", or lower the weights." : ".")
    }
}

extension ElementType {
    /// PyTorch's word for the type, as job files use it.
    fileprivate var word: String {
        switch self {
        case .f64: "float64"
        case .f32: "float32"
        case .f16: "float16"
        case .bf16: "bfloat16"
        }
    }
}
