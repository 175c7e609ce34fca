import Foundation

/// The seconds that a body takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try body()
    return (ContinuousClock.now - start) / .seconds(1)
}

/// The least times of interleaved runs of two bodies: the machine's limit, without its other work.
func least(_ count: Int, _ first: () throws -> Void, _ second: () throws -> Void) rethrows -> (Double, Double) {
    var best = (Double.infinity, Double.infinity)
    for _ in 0..<count {
        best.0 = min(best.0, try seconds(first))
        best.1 = min(best.1, try seconds(second))
    }
    return best
}

/// A number with two decimals.
func fixed(_ value: Double, _ decimals: Int = 2) -> String {
    String(format: "%.\(decimals)f", value)
}

/// A scratch directory and files in it.
struct WorkDirectory {
    let path: String

    init(_ path: String) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// Numbers like activations; they are drawn once, and cut differently for each tensor.
final class RandomNumbers {
    private let values: [UInt32]

    /// Makes numbers from -1 to 1, as F32, or as two BF16 in place of one F32.
    init(count: Int = 1 << 22, areBFloat16: Bool = false) {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        func next() -> UInt32 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return (Float(Int32(truncatingIfNeeded: state >> 32)) * 0x1p-31).bitPattern
        }
        // The upper half of an F32 is a BF16.
        values = (0..<count).map { _ in areBFloat16 ? next() >> 16 | next() & 0xFFFF_0000 : next() }
    }

    /// Calls `body` with consecutive pieces of `byteCount` bytes in all; `seed` chooses the start.
    func forEachPiece(byteCount: Int, seed: Int, _ body: (RawSpan, Int) throws -> Void) rethrows {
        var offset = 0
        var start = (seed &* 40_503) % (values.count / 2) * 4
        while offset < byteCount {
            let count = min(byteCount - offset, values.count * 4 - start)
            // A local name, because a span of a property would outlive the access to it.
            let bytes = values
            try body(bytes.span.bytes.extracting(start..<start + count), offset)
            offset += count
            start = 0
        }
    }
}
