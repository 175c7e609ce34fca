/// Seeded random numbers for tests; they are equal on every platform.
///
/// Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
public struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// A generator; the seed determines its sequence.
    public init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number in −1 ..< 1 that fp32 holds exactly.
    public mutating func nextSigned() -> Double { Double(Int64(bitPattern: next()) >> 40) * 0x1p-23 }

    /// `count` numbers in −1 ..< 1 that fp32 holds exactly.
    public mutating func values(_ count: Int) -> [Double] { (0..<count).map { _ in nextSigned() } }
}
