internal import Crypto

/// The random numbers of one tensor of one task: element i has its own, whoever asks for it, when, and in which range.
///
/// So a mask does not depend on how a tensor is cut into ranges, on the order of tensors and tasks, or on the number of
/// workers. It depends on the seed and the names only: another checkpoint in the job changes no mask.
///
/// **Key.** SHA-256 of "kfacd random numbers 1", the seed (8 bytes, little-endian), and task and tensor, each with the
/// count of its UTF-8 bytes (8 bytes, little-endian) in front. Its first 8 bytes are Philox's key, the next 8 the upper
/// half of all counters. The lower half counts blocks of four elements. A change of any of this is a new number in the
/// first string.
///
/// **One draw an element.** Element i has one word of 32 bits. ``uniform(at:)``, ``isKept(_:probability:)`` and
/// ``normal(at:)`` are three readings of it, so a method takes one kind from a stream.
public struct RandomStream: Equatable, Sendable {
    private let philox: Philox
    private let stream: SIMD2<UInt32>

    /// The numbers of a tensor.
    ///
    /// - Parameters:
    ///   - seed: The job's seed.
    ///   - task: The task's name.
    ///   - tensor: The tensor's name in the checkpoint.
    public init(seed: UInt64, task: String, tensor: String) {
        var hash = SHA256()
        hash.update(data: Array("kfacd random numbers 1".utf8))
        hash.update(data: Self.bytes(of: seed))
        for name in [task, tensor] {
            hash.update(data: Self.bytes(of: UInt64(name.utf8.count)))
            hash.update(data: Array(name.utf8))
        }
        let digest = Array(hash.finalize())
        let words = (0..<4).map { Self.number(of: digest[4 * $0..<4 * $0 + 4]) }
        philox = Philox(key: (words[0], words[1]))
        stream = SIMD2(words[2], words[3])
    }

    private static func bytes(of number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) }
    }

    /// Four bytes, the least significant first.
    private static func number(of bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reversed().reduce(0) { number, byte in number << 8 | UInt32(byte) }
    }

    /// The four words of elements 4 · block to 4 · block + 3.
    @inline(__always)
    func words(ofBlock block: UInt64) -> SIMD4<UInt32> {
        philox.block(
            SIMD4(UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32), stream.x, stream.y))
    }

    private func word(at element: Int) -> UInt32 {
        precondition(element >= 0, "elements count from 0")
        return words(ofBlock: UInt64(element) / 4)[element % 4]
    }

    /// A number from 0 to below 1, a multiple of 2⁻²⁴, all equally likely.
    public func uniform(at element: Int) -> Float { Self.uniform(word(at: element)) }

    /// Whether an element is kept that is kept with some probability.
    ///
    /// - Parameters:
    ///   - element: Its index in the tensor.
    ///   - probability: p; 1 keeps every element and 0 none. Exact to 2⁻³².
    /// - Returns: Whether its word lies below p · 2³².
    /// - Throws: ``RandomNumbersError/notProbability(value:)``.
    public func isKept(_ element: Int, probability: Double) throws(RandomNumbersError) -> Bool {
        UInt64(word(at: element)) < (try Self.threshold(of: probability))
    }

    /// A number of the normal distribution with mean 0 and variance 1: the quantile of the word, at most 6.34 from 0.
    ///
    /// Source: ``NormalQuantile``.
    public func normal(at element: Int) -> Float { Self.normal(word(at: element)) }

    @inline(__always)
    static func uniform(_ word: UInt32) -> Float { Float(word >> 8) * 0x1p-24 }

    @inline(__always)
    static func normal(_ word: UInt32) -> Float {
        // The middle of the word's interval: neither 0 nor 1, and symmetric.
        Float(NormalQuantile.value(at: (Double(word) + 0.5) * 0x1p-32))
    }

    /// Words below it are kept.
    static func threshold(of probability: Double) throws(RandomNumbersError) -> UInt64 {
        guard probability >= 0, probability <= 1 else { throw .notProbability(value: probability) }
        return UInt64((probability * 0x1p32).rounded(.up))
    }
}

/// What can be wrong with a wish for random numbers.
public enum RandomNumbersError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A probability below 0, above 1 or NaN.
    case notProbability(value: Double)

    /// What is wrong and what was expected.
    public var description: String {
        switch self {
        case .notProbability(let value): "the probability is \(value); expected a number from 0 to 1."
        }
    }
}
