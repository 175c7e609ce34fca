import FoundationEssentials

/// A grey picture as a PNG file, for pictures that are part of a page.
///
/// The file is not compressed: pages have few and small pictures, and need no library for them.
///
/// Source: PNG, third edition (W3C 2025); RFC 1950 and RFC 1951 for the data.
package struct PNGImage {
    /// The file.
    package let bytes: [UInt8]

    /// A picture of 8 bits for each pixel.
    ///
    /// - Parameters:
    ///   - pixels: `[height, width]`, 0 for black.
    ///   - width: The pixels of a row, at least 1.
    package init(grey pixels: [UInt8], width: Int) {
        precondition(width > 0 && pixels.count.isMultiple(of: width), "a picture has whole rows")
        let height = pixels.count / width
        // Each row begins with the number of its filter: none.
        let rows = (0..<height).flatMap { [0] + pixels[$0 * width..<($0 + 1) * width] }
        // 8 bits of grey; the usual compression and filters; not interlaced.
        let header = Self.word(UInt32(width)) + Self.word(UInt32(height)) + [8, 0, 0, 0, 0]
        bytes =
            [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
            + Self.chunk("IHDR", header) + Self.chunk("IDAT", Self.stored(rows)) + Self.chunk("IEND", [])
    }

    /// The address that holds the picture itself.
    package var address: String { "data:image/png;base64,\(Data(bytes).base64EncodedString())" }

    /// A chunk: the length, the type, the content, and the checksum of type and content.
    private static func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
        let checked = Array(type.utf8) + content
        return word(UInt32(content.count)) + checked + word(cyclicRedundancyCheck(checked))
    }

    /// A zlib stream of blocks without compression, each of at most 65 535 bytes.
    private static func stored(_ bytes: [UInt8]) -> [UInt8] {
        let most = 65_535
        var stream: [UInt8] = [0x78, 0x01]
        var start = 0
        repeat {
            let end = min(start + most, bytes.count)
            let count = UInt16(end - start)
            stream.append(end == bytes.count ? 1 : 0)
            for number in [count, ~count] { stream += [UInt8(number & 0xFF), UInt8(number >> 8)] }
            stream += bytes[start..<end]
            start = end
        } while start < bytes.count
        return stream + word(adler(bytes))
    }

    /// Four bytes, the highest first.
    private static func word(_ number: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
    }

    /// CRC-32 of the PNG specification, annex D.
    private static func cyclicRedundancyCheck(_ bytes: [UInt8]) -> UInt32 {
        var remainder = UInt32.max
        for byte in bytes {
            remainder ^= UInt32(byte)
            for _ in 0..<8 {
                let isOdd = remainder & 1 == 1
                remainder >>= 1
                if isOdd { remainder ^= 0xEDB8_8320 }
            }
        }
        return ~remainder
    }

    /// Adler-32 of RFC 1950, section 8.
    private static func adler(_ bytes: [UInt8]) -> UInt32 {
        var (low, high): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            low = (low + UInt32(byte)) % 65_521
            high = (high + low) % 65_521
        }
        return high << 16 | low
    }
}
