internal import CXXHash

/// A checksum whose bytes come in parts.
///
/// Source: ``Checksum``.
@safe
public struct RunningChecksum: ~Copyable {
    private let state: UnsafeMutableRawPointer

    /// Begins a checksum of no bytes.
    public init() {
        guard let state = unsafe kfacd_checksum_begin() else { preconditionFailure("no memory for a checksum") }
        unsafe self.state = state
    }

    deinit { unsafe kfacd_checksum_end(state) }

    /// Appends bytes.
    public mutating func update(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { unsafe kfacd_checksum_update(state, $0.baseAddress, $0.count) }
    }

    /// The checksum of the bytes so far; more bytes may follow.
    public var value: Checksum {
        var (high, low): (UInt64, UInt64) = (0, 0)
        unsafe kfacd_checksum_value(state, &high, &low)
        return Checksum(high: high, low: low)
    }
}
