import Safetensors
import Testing

/// Damaged headers are refused or read, and never trap.
struct HeaderMutationTests {
    /// Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators": the same bytes on every machine.
    private struct SplitMix64: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var word = state
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            return word ^ (word >> 31)
        }
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `five thousand mutations of a valid file never trap`(seed: UInt64) {
        let text =
            #"{"__metadata__":{"format":"pt","n":"\u00e9\\"},"#
            + #""w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[2],"#
            + #""data_offsets":[24,28]},"q":{"dtype":"F4","shape":[2],"data_offsets":[28,29]}}  "#
        let valid = fileBytes(text, dataByteCount: 29)
        #expect(parseError(valid) == nil)
        var random = SplitMix64(state: seed)
        var refusedCount = 0
        for _ in 0..<5000 {
            var bytes = valid
            for _ in 0...Int.random(in: 0..<4, using: &random) { mutate(&bytes, &random) }
            let size = Bool.random(using: &random) ? bytes.count : Int.random(in: 0...Int.max, using: &random)
            if parseError(bytes, fileSize: size) != nil { refusedCount += 1 }
        }
        #expect(refusedCount > 4000)
    }

    private func mutate(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
        guard !bytes.isEmpty else { return }
        let index = Int.random(in: 0..<bytes.count, using: &random)
        let digits = Array("0123456789-.eE[]{},:\"\\u".utf8)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[index] = digits[Int.random(in: 0..<digits.count, using: &random)]
        case 2: bytes.remove(at: index)
        case 3: bytes.insert(contentsOf: Array("99999999999999999999".utf8.prefix(index % 20)), at: index)
        case 4: bytes.removeLast(bytes.count - index)
        default: bytes.replaceSubrange(index..., with: bytes[..<(bytes.count - index)])
        }
    }
}
