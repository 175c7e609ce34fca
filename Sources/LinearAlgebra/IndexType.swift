/// The type of indices in files, such as token ids: little-endian integers.
public enum IndexType: String, CaseIterable, Sendable {
    /// 32 bits.
    case i32 = "I32"
    /// 64 bits.
    case i64 = "I64"

    /// Bytes of one index.
    public var byteCount: Int { self == .i32 ? 4 : 8 }

    /// Decodes an index.
    ///
    /// - Parameters:
    ///   - position: The number of the index, from 0.
    ///   - bytes: Consecutive indices, of which this is one.
    /// - Returns: The index, which may be negative.
    public func index(at position: Int, of bytes: [UInt8]) -> Int64 {
        var bits: UInt64 = 0
        for byte in 0..<byteCount { bits |= UInt64(bytes[position * byteCount + byte]) << UInt64(8 * byte) }
        return self == .i64 ? Int64(bitPattern: bits) : Int64(Int32(truncatingIfNeeded: bits))
    }
}

/// The type of captured rows.
public enum RowType: Hashable, Sendable {
    /// Rows of numbers.
    case numbers(ElementType)
    /// One index in each row, which stands for a one-hot row.
    case indices(IndexType)

    /// Bytes of one number or index.
    public var byteCount: Int {
        switch self {
        case .numbers(let type): type.byteCount
        case .indices(let type): type.byteCount
        }
    }

    /// The type's word in files.
    public var name: String {
        switch self {
        case .numbers(let type): type.rawValue
        case .indices(let type): type.rawValue
        }
    }
}
