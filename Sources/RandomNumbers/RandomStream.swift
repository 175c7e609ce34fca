internal import Hashing

/// The random numbers of one tensor of one task, addressed by the element's index.
///
/// A number depends only on the seed, the names and the index. So a mask does not depend on the ranges of a tensor, on
/// the order of tensors and tasks, or on the number of workers. Another checkpoint in the job changes no mask.
///
/// **Key.** SHA-256 of "kfacd random numbers 1", the seed (8 bytes, little-endian), the task's name and the tensor's
/// name. The count of its UTF-8 bytes (8 bytes, little-endian) precedes each name. The first 8 bytes of the digest are
/// Philox's key. The next 8 are the upper half of all counters. The lower half counts blocks of four elements. A change
/// of this definition needs a new number in the first string.
///
/// **One draw an element.** Element i has one word of 32 bits. ``uniform(at:)``, ``isKept(_:probability:)`` and
/// ``normal(at:)`` are three readings of it, so a method must use only one of them for a stream.
public struct RandomStream: Equatable, Sendable {
    let philox: Philox
    let stream: (UInt32, UInt32)

    /// Creates the stream of a tensor.
    ///
    /// - Parameters:
    ///   - seed: The job's seed.
    ///   - task: The task's name.
    ///   - tensor: The tensor's name in the checkpoint.
    public init(seed: UInt64, task: String, tensor: String) {
        var hash = SHA256()
        hash.update(Array("kfacd random numbers 1".utf8))
        hash.update(Self.bytes(of: seed))
        for name in [task, tensor] {
            hash.update(Self.bytes(of: UInt64(name.utf8.count)))
            hash.update(Array(name.utf8))
        }
        let digest = hash.finalize()
        let words = (0..<4).map { Self.number(of: digest[4 * $0..<4 * $0 + 4]) }
        philox = Philox(key: (words[0], words[1]))
        stream = (words[2], words[3])
    }

    /// Creates the stream of a key.
    ///
    /// - Parameter key: The four words of ``key``; another number of words gives `nil`.
    public init?(key: [UInt32]) {
        guard key.count == 4 else { return nil }
        philox = Philox(key: (key[0], key[1]))
        stream = (key[2], key[3])
    }

    /// The stream without its names: the first four words of the digest.
    public var key: [UInt32] { [philox.key.0, philox.key.1, stream.0, stream.1] }

    /// Whether both have the same key.
    public static func == (left: RandomStream, right: RandomStream) -> Bool {
        left.philox == right.philox && left.stream == right.stream
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
            SIMD4(UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32), stream.0, stream.1))
    }

    private func word(at element: Int) -> UInt32 {
        precondition(element >= 0, "elements count from 0")
        return words(ofBlock: UInt64(element) / 4)[element % 4]
    }

    /// A uniform random number in [0, 1): a multiple of 2⁻²⁴.
    public func uniform(at element: Int) -> Float { Self.uniform(word(at: element)) }

    /// Whether an element is kept, with a given probability.
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
        // The middle of the word's interval is never 0 or 1, and symmetric.
        Float(NormalQuantile.value(at: (Double(word) + 0.5) * 0x1p-32))
    }

    /// An element is kept if its word is below this bound.
    static func threshold(of probability: Double) throws(RandomNumbersError) -> UInt64 {
        guard probability >= 0, probability <= 1 else { throw .notProbability(value: probability) }
        return UInt64((probability * 0x1p32).rounded(.up))
    }
}

/// An error in a request for random numbers.
public enum RandomNumbersError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A probability below 0, above 1 or NaN.
    case notProbability(value: Double)

    /// The fault and the expected value.
    public var description: String {
        switch self {
        case .notProbability(let value): "the probability is \(value); expected a number from 0 to 1."
        }
    }
}
