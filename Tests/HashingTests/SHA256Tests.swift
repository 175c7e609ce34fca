import Testing

@testable import Hashing

@Suite struct SHA256Tests {
    private func digits(_ digest: [UInt8]) -> String {
        digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// The examples of NIST for FIPS 180-4 (and of no bytes, CAVP SHA256ShortMsg).
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            String(repeating: "a", count: 1_000_000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        ),
    ])
    func `the published examples have their digests, in one part and in many`(text: String, expected: String) {
        let bytes = Array(text.utf8)
        var whole = SHA256()
        whole.update(bytes)
        #expect(digits(whole.finalize()) == expected)
        var parts = SHA256()
        var (start, count) = (0, 0)
        // Parts of 0, 1, 2 … bytes begin at many offsets in a block of 64 bytes.
        while start < bytes.count {
            let end = min(start + count, bytes.count)
            parts.update(Array(bytes[start..<end]))
            (start, count) = (end, count + 1)
        }
        #expect(digits(parts.finalize()) == expected)
    }

    @Test func `a copy goes on alone, and a digest is given again and goes on`() {
        var first = SHA256()
        first.update(Array("ab".utf8))
        var second = first
        second.update(Array("x".utf8))
        let early = first.finalize()
        #expect(first.finalize() == early)
        first.update(Array("c".utf8))
        #expect(digits(first.finalize()) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        var other = SHA256()
        other.update(Array("abx".utf8))
        #expect(second.finalize() == other.finalize())
    }

    @Test func `digests on many threads do not disturb each other`() async {
        let bytes = [UInt8](repeating: 7, count: 100_000)
        var begun = SHA256()
        begun.update(bytes)
        let shared = begun
        let digests = await withTaskGroup(of: [UInt8].self) { group in
            for _ in 0..<64 {
                group.addTask {
                    var own = shared
                    own.update(bytes)
                    return own.finalize()
                }
            }
            return await group.reduce(into: Set<[UInt8]>()) { $0.insert($1) }
        }
        var alone = SHA256()
        alone.update(bytes + bytes)
        #expect(digests == [alone.finalize()])
    }
}
