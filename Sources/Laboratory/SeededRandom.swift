import Foundation

/// A sequence of random numbers that depends on its seed and purpose only.
///
/// Source: Steele, Lea & Flood 2014, SplitMix64.
public struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64
    private var spare: Double?

    /// A sequence.
    ///
    /// - Parameters:
    ///   - seed: The study's seed.
    ///   - purpose: The use of the numbers ("batches of fashion"), so that no two purposes share a sequence.
    public init(seed: Int, purpose: String) {
        // FNV-1a over the purpose, mixed with the seed.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in purpose.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        state = hash ^ (UInt64(bitPattern: Int64(seed)) &* 0x9E37_79B9_7F4A_7C15)
    }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number from the standard normal distribution.
    ///
    /// Source: Marsaglia & Bray 1964, the polar method.
    public mutating func nextNormal() -> Double {
        if let spare {
            self.spare = nil
            return spare
        }
        while true {
            let (x, y) = (Double.random(in: -1...1, using: &self), Double.random(in: -1...1, using: &self))
            let square = x * x + y * y
            guard square > 0, square < 1 else { continue }
            let scale = (-2 * log(square) / square).squareRoot()
            spare = y * scale
            return x * scale
        }
    }
}
