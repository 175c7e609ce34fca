import Foundation

/// Runs a body once for each seed, each time with a new generator; `SEED=…` in the environment runs only that seed.
///
/// - Parameters:
///   - seeds: The seeds of a full run.
///   - body: Receives the seed, for its messages, and the generator.
/// - Returns: The number of runs.
/// - Throws: what `body` throws.
@discardableResult
public func forEachSeed<Failure: Error>(
    in seeds: Range<UInt64>,
    _ body: (_ seed: UInt64, _ random: inout SplitMix64) throws(Failure) -> Void
) throws(Failure) -> Int {
    if let only = ProcessInfo.processInfo.environment["SEED"].flatMap(UInt64.init) {
        var random = SplitMix64(seed: only)
        try body(only, &random)
        return 1
    }
    for seed in seeds {
        var random = SplitMix64(seed: seed)
        try body(seed, &random)
    }
    return seeds.count
}

/// The bytes with one to four random changes: bits flipped, bytes overwritten, parts removed, repeated or swapped.
public func mutated(_ original: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var bytes = original
    for _ in 0..<Int.random(in: 1...4, using: &random) {
        let position = bytes.isEmpty ? 0 : Int.random(in: bytes.indices, using: &random)
        let end = min(bytes.count, position + Int.random(in: 1...16, using: &random))
        switch Int.random(in: 0..<6, using: &random) {
        case _ where bytes.isEmpty: bytes.append(UInt8.random(in: .min ... .max, using: &random))
        case 0: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[position] = [0, 1, 0x7f, 0x80, 0xff].randomElement(using: &random) ?? 0
        case 2: bytes[position] = UInt8.random(in: .min ... .max, using: &random)
        case 3: bytes.removeSubrange(position..<end)
        case 4: bytes.insert(contentsOf: bytes[position..<end], at: Int.random(in: 0...bytes.count, using: &random))
        default: bytes.swapAt(position, Int.random(in: bytes.indices, using: &random))
        }
    }
    return bytes
}
