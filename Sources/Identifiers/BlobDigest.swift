/// The SHA-256 of a blob's bytes.
///
/// It names the blob in every store.
///
/// Source: DESIGN section 5, "inputs and outputs are blobs named by their SHA-256".
public struct BlobDigest: Hashable, Sendable {
    /// The four 64-bit words of the digest, most significant byte first.
    private let words: (UInt64, UInt64, UInt64, UInt64)

    /// Number of bytes of a digest.
    public static let byteCount = 32

    /// Takes a digest's 32 bytes; `nil` for any other number of bytes.
    public init?(bytes: some Sequence<UInt8>) {
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var count = 0
        for byte in bytes {
            guard count < Self.byteCount else { return nil }
            // The first byte becomes the most significant byte of the first word.
            words.0 = words.0 << 8 | words.1 >> 56
            words.1 = words.1 << 8 | words.2 >> 56
            words.2 = words.2 << 8 | words.3 >> 56
            words.3 = words.3 << 8 | UInt64(byte)
            count += 1
        }
        guard count == Self.byteCount else { return nil }
        self.words = words
    }

    /// Takes the output of a SHA-256 implementation, which always has 32 bytes.
    public init(sha256 digest: some Sequence<UInt8>) {
        guard let known = BlobDigest(bytes: digest) else {
            preconditionFailure("SHA-256 has \(Self.byteCount) bytes")
        }
        self = known
    }

    /// Reads 64 hexadecimal digits; `nil` for any other text.
    public init?(hexadecimal: some StringProtocol) {
        let digits = hexadecimal.utf8
        guard digits.count == 2 * Self.byteCount else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.byteCount)
        var pending: UInt8?
        for digit in digits {
            guard let value = Self.value(ofHexadecimalDigit: digit) else { return nil }
            if let high = pending {
                bytes.append(high << 4 | value)
                pending = nil
            } else {
                pending = value
            }
        }
        self.init(bytes: bytes)
    }

    /// The digest's 32 bytes.
    public var bytes: [UInt8] {
        // Every small blob's record has one, so no array is made for each word.
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.byteCount)
        for word in [words.0, words.1, words.2, words.3] {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        return bytes
    }

    /// Whether both digests hold the same 32 bytes.
    public static func == (left: BlobDigest, right: BlobDigest) -> Bool {
        left.words == right.words
    }

    /// Feeds the digest's words to the hasher.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(words.3)
    }

    private static func value(ofHexadecimalDigit digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

extension BlobDigest: Comparable {
    /// Orders digests as numbers, for lists whose order must not depend on a hashed collection.
    public static func < (left: BlobDigest, right: BlobDigest) -> Bool {
        let (a, b) = (left.words, right.words)
        if a.0 != b.0 { return a.0 < b.0 }
        if a.1 != b.1 { return a.1 < b.1 }
        if a.2 != b.2 { return a.2 < b.2 }
        return a.3 < b.3
    }
}

extension BlobDigest: CustomStringConvertible {
    /// 64 lower-case hexadecimal digits.
    public var description: String {
        // Every unit key writes digests, so no array is made for each byte.
        var text: [UInt8] = []
        text.reserveCapacity(2 * Self.byteCount)
        for word in [words.0, words.1, words.2, words.3] {
            for shift in stride(from: 60, through: 0, by: -4) {
                let digit = UInt8(truncatingIfNeeded: word >> UInt64(shift)) & 15
                text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension BlobDigest: Codable {
    /// Decodes 64 hexadecimal digits.
    ///
    /// - Throws: `DecodingError` for any other text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let digest = BlobDigest(hexadecimal: text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "\"\(text.excerpt)\" is not a SHA-256 digest of 64 hexadecimal digits")
        }
        self = digest
    }

    /// Encodes as 64 hexadecimal digits.
    ///
    /// - Throws: what the encoder throws.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
