import Identifiers
import Testing

@Suite struct BlobDigestTests {
    /// SHA-256 of the empty text (FIPS 180-4's test vectors).
    private let emptyText = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    @Test func `a digest is read from its hexadecimal digits and printed as them`() throws {
        let digest = try #require(BlobDigest(hexadecimal: emptyText))
        #expect(digest.description == emptyText)
        #expect(digest.bytes.count == BlobDigest.byteCount)
        #expect(digest.bytes.prefix(4) == [0xe3, 0xb0, 0xc4, 0x42])
        #expect(BlobDigest(bytes: digest.bytes) == digest)
    }

    @Test func `upper-case digits name the same digest and are printed in lower case`() throws {
        let digest = try #require(BlobDigest(hexadecimal: emptyText.uppercased()))
        #expect(digest.description == emptyText)
    }

    @Test(arguments: 0..<32)
    func `every byte tells digests apart`(position: Int) throws {
        var bytes = [UInt8](repeating: 0, count: 32)
        let zeros = try #require(BlobDigest(bytes: bytes))
        bytes[position] = 1
        let other = try #require(BlobDigest(bytes: bytes))
        #expect(other != zeros)
        #expect(Set([zeros, other]).count == 2)
        #expect(other.bytes == bytes)
    }

    @Test(arguments: [0, 31, 33, 64])
    func `another number of bytes is refused`(count: Int) {
        #expect(BlobDigest(bytes: [UInt8](repeating: 7, count: count)) == nil)
    }

    @Test(arguments: [
        "", "e3b0", String(repeating: "0", count: 63), String(repeating: "0", count: 65),
        String(repeating: "g", count: 64), String(repeating: " ", count: 64), String(repeating: "é", count: 32),
        "0x" + String(repeating: "0", count: 62),
    ])
    func `a text that is not 64 hexadecimal digits is refused`(text: String) {
        #expect(BlobDigest(hexadecimal: text) == nil)
    }
}
