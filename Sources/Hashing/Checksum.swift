/// A checksum of bytes: 128 bits of XXH3.
///
/// It shows that bytes have changed by accident, ten times as fast as a SHA-256. It does not show what somebody has
/// changed on purpose.
///
/// Source: the specification of XXH3 in xxHash 0.8.
public struct Checksum: Hashable, Sendable {
    /// The upper half.
    public let high: UInt64
    /// The lower half.
    public let low: UInt64

    /// Takes a known checksum.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

extension Checksum: Codable {
    /// Decodes 32 hexadecimal digits.
    ///
    /// - Throws: `DecodingError` for anything else.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "a checksum has 32 hexadecimal digits")
        }
        self.init(high: high, low: low)
    }

    /// Encodes 32 hexadecimal digits.
    ///
    /// - Throws: What the encoder throws.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension Checksum: CustomStringConvertible {
    /// 32 lower-case hexadecimal digits.
    public var description: String {
        [high, low].map { half in
            let digits = String(half, radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }.joined()
    }
}
