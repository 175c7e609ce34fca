/// A SHA-256 whose bytes come in parts.
///
/// It is a value: a copy goes on alone.
///
/// Source: FIPS 180-4, sections 5.1.1 and 6.2.
public struct SHA256: Sendable {
    private var state = DigestState()

    /// Begins a digest of no bytes.
    public init() {}

    /// Appends bytes.
    public mutating func update(_ bytes: RawSpan) {
        if !isKnownUniquelyReferenced(&state) { state = DigestState(copying: state) }
        state.update(bytes)
    }

    /// Appends bytes.
    public mutating func update(_ bytes: [UInt8]) { unsafe update(bytes.span.bytes) }

    /// The digest of the bytes so far, 32 bytes; more bytes may follow.
    public func finalize() -> [UInt8] { DigestState(copying: state).end() }
}
