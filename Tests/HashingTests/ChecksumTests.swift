import Foundation
import Hashing
import Testing

@Suite struct ChecksumTests {
    /// Values of xxHash's own program, `xxhsum -H2`.
    @Test(arguments: [
        ("", "99aa06d3014798d86001c324468d497f"), ("abc", "06b05ab6733a618578af5f94892f3950"),
        (String(repeating: "a", count: 1_000_000), "a545df8e384a9579b1fd6fae5285c4eb"),
    ])
    func `bytes have the published checksum, in one part and in many`(text: String, expected: String) throws {
        let bytes = Array(text.utf8)
        var whole = RunningChecksum()
        whole.update(bytes.span.bytes)
        let value = whole.value
        #expect(value.description == expected)
        var parts = RunningChecksum()
        var (start, count) = (0, 0)
        while start < bytes.count {
            let end = min(start + count, bytes.count)
            parts.update(bytes.span.bytes.extracting(start..<end))
            (start, count) = (end, count + 1)
        }
        let ofParts = parts.value
        #expect(ofParts == value)
        #expect(try JSONDecoder().decode([Checksum].self, from: JSONEncoder().encode([value])) == [value])
    }

    @Test(arguments: ["\"12\"", "\"zz\"", "7"])
    func `other text is no checksum`(text: String) {
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([Checksum].self, from: Data("[\(text)]".utf8)) }
    }
}
