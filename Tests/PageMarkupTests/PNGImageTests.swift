import Testing

@testable import PageMarkup

struct PNGImageTests {
    @Test func `a small picture has the bytes that Python's zlib makes without compression`() {
        let picture = PNGImage(grey: [0, 128, 255, 10, 20, 30], width: 3)
        let expected =
            "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC4HznGAAAAE0lEQVR4AQEIAPf/AACA/wAKFB4IZwG8zl0mHQAAAABJRU5ErkJggg=="
        #expect(picture.address == "data:image/png;base64,\(expected)")
    }

    @Test func `more than 65 535 bytes are several blocks, with one checksum`() {
        let pixels = (0..<300 * 300).map { (index: Int) -> UInt8 in UInt8(index * (index + 7) % 256) }
        let bytes = PNGImage(grey: pixels, width: 300).bytes
        // Python's zlib makes as many blocks. Adler-32 stands before the checksum of the chunk and the last chunk.
        #expect(bytes.count == 90_373)
        #expect(bytes[41..<48] == [0x78, 0x01, 0x00, 0xFF, 0xFF, 0x00, 0x00])
        let second = 48 + 65_535
        #expect(bytes[second..<second + 5] == [0x01, 0xBD, 0x60, 0x42, 0x9F])
        #expect(bytes.suffix(20).prefix(4) == [0x1B, 0xB0, 0x72, 0x53])
    }
}
