import FileAccess
import SystemPackage
import TestSupport
import Testing

/// Small files and digests.
struct WholeFileTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.path) }

    init() throws { directory = try TemporaryDirectory() }

    @Test func `a written file replaces the old one and leaves no other`() throws {
        try directory.write([9, 9, 9], to: "a.json")
        try WholeFile.write([1, 2], to: path.appending("a.json"))
        #expect(try directory.read("a.json") == [1, 2])
        #expect(try directory.names() == ["a.json"])
    }

    @Test(arguments: [0, 1, 4 << 20, (4 << 20) + 7])
    func `a copy has the same bytes`(byteCount: Int) throws {
        let bytes = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        try directory.write(bytes, to: "a")
        try WholeFile.copy(from: path.appending("a"), to: path.appending("b"))
        #expect(try directory.read("b") == bytes)
        #expect(try directory.names() == ["a", "b"])
    }

    @Test func `a file above the limit is not read`() throws {
        try directory.write([1, 2, 3], to: "a")
        #expect(
            errorMessage { () throws(FileError) in _ = try WholeFile.read(path.appending("a"), limit: 2) }
                == "\(path)/a: has 3 bytes; expected at most 2."
        )
    }

    @Test func `digests are those of FIPS 180-4`() throws {
        // FIPS 180-4 example "abc", and the million letters a of the same series.
        let abc: [UInt8] = [
            0xBA, 0x78, 0x16, 0xBF, 0x8F, 0x01, 0xCF, 0xEA, 0x41, 0x41, 0x40, 0xDE, 0x5D, 0xAE, 0x22, 0x23,
            0xB0, 0x03, 0x61, 0xA3, 0x96, 0x17, 0x7A, 0x9C, 0xB4, 0x10, 0xFF, 0x61, 0xF2, 0x00, 0x15, 0xAD,
        ]
        #expect(FileDigest.sha256(of: Array("abc".utf8)) == abc)
        let million: [UInt8] = [
            0xCD, 0xC7, 0x6E, 0x5C, 0x99, 0x14, 0xFB, 0x92, 0x81, 0xA1, 0xC7, 0xE2, 0x84, 0xD7, 0x3E, 0x67,
            0xF1, 0x80, 0x9A, 0x48, 0xA4, 0x97, 0x20, 0x0E, 0x04, 0x6D, 0x39, 0xCC, 0xC7, 0x11, 0x2C, 0xD0,
        ]
        try directory.write([UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000), to: "a")
        #expect(try FileDigest.sha256(ofFileAt: path.appending("a")) == million)
    }
}
