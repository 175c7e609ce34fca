/// Philox4x32-10: a bijection of 128-bit counters under a 64-bit key, whose outputs pass every test of randomness.
///
/// Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". There is no state: the
/// numbers of a counter depend on no other counter.
public struct Philox: Equatable, Sendable {
    /// The two words of the key.
    public let key: (UInt32, UInt32)

    /// The function of a key.
    public init(key: (UInt32, UInt32)) { self.key = key }

    /// Whether both have the same key.
    public static func == (left: Philox, right: Philox) -> Bool { left.key == right.key }

    /// The four words of a counter.
    @inline(__always)
    public func block(_ counter: SIMD4<UInt32>) -> SIMD4<UInt32> {
        // One 64-bit multiplication gives both halves of a product.
        var (c0, c1) = (UInt64(counter.x), UInt64(counter.y))
        var (c2, c3) = (UInt64(counter.z), UInt64(counter.w))
        var (k0, k1) = key
        for _ in 0..<Self.roundCount {
            let (first, second) = (c0 &* Self.multipliers.0, c2 &* Self.multipliers.1)
            (c0, c1) = ((second >> 32) ^ c1 ^ UInt64(k0), second & 0xFFFF_FFFF)
            (c2, c3) = ((first >> 32) ^ c3 ^ UInt64(k1), first & 0xFFFF_FFFF)
            k0 &+= Self.keyIncrements.0
            k1 &+= Self.keyIncrements.1
        }
        return SIMD4(
            UInt32(truncatingIfNeeded: c0), UInt32(truncatingIfNeeded: c1), UInt32(truncatingIfNeeded: c2),
            UInt32(truncatingIfNeeded: c3))
    }

    private static var roundCount: Int { 10 }
    private static var multipliers: (UInt64, UInt64) { (0xD251_1F53, 0xCD9E_8D57) }
    private static var keyIncrements: (UInt32, UInt32) { (0x9E37_79B9, 0xBB67_AE85) }
}
