/// Z85, the text form of binary keys: five characters for four bytes.
///
/// Source: ZeroMQ RFC 32.
enum Z85 {
    private static let alphabet = Array(
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#".utf8
    )

    /// Encodes bytes; their number must be a multiple of four.
    static func encode(_ bytes: [UInt8]) -> String {
        var characters: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 4) {
            let group = bytes[start..<start + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            for divisor: UInt32 in [52_200_625, 614_125, 7_225, 85, 1] {  // 85⁴ … 85⁰
                characters.append(alphabet[Int(group / divisor % 85)])
            }
        }
        return String(decoding: characters, as: UTF8.self)
    }

    /// Decodes a text; its length must be a multiple of five.
    ///
    /// - Throws: ``ZeroMQError/invalidCurveKey(_:)`` with the position of the first fault.
    static func decode(_ characters: [UInt8]) throws(ZeroMQError) -> [UInt8] {
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: characters.count, by: 5) {
            var group: UInt64 = 0
            for position in start..<start + 5 {
                guard let digit = alphabet.firstIndex(of: characters[position]) else {
                    throw .invalidCurveKey(.invalidCharacter(position: position))
                }
                group = group * 85 + UInt64(digit)
            }
            guard let word = UInt32(exactly: group) else {
                throw .invalidCurveKey(.groupOutOfRange(position: start))
            }
            for shift: UInt32 in [24, 16, 8, 0] {
                bytes.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        return bytes
    }

    /// Decodes a key of 40 characters into 32 bytes.
    ///
    /// - Throws: ``ZeroMQError/invalidCurveKey(_:)`` with the length or the position of the first fault.
    static func decodeKey(_ text: String) throws(ZeroMQError) -> [UInt8] {
        let characters = Array(text.utf8)
        guard characters.count == 40 else {
            throw .invalidCurveKey(.wrongLength(found: characters.count))
        }
        return try decode(characters)
    }
}
