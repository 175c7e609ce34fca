import Identifiers
import JobFiles
import Safetensors

/// Finds layers that read the same rows (q, k and v; gate and up): their A is the same, and is computed once.
///
/// Layers of one shape whose rows agree in a few samples are compared in full: that reads the rows once more, but
/// only where it saves a whole factor.
enum SharedRows {
    private static let sampleBytes = 4096
    private static let pieceBytes = 1 << 20

    /// The first earlier layer with the same input rows, for every layer that has one.
    static func find(in set: CaptureSet) -> [LayerName: LayerName] {
        var shared: [LayerName: LayerName] = [:]
        var originals: [CaptureSet.Layer] = []
        for layer in set.layers {
            if let original = originals.first(where: { hasSameRows($0.input, layer.input, in: set.files) }) {
                shared[layer.name] = original.name
            } else {
                originals.append(layer)
            }
        }
        return shared
    }

    private static func hasSameRows(_ left: CapturedTensor, _ right: CapturedTensor, in files: [SafetensorsFile])
        -> Bool
    {
        guard left.columnCount == right.columnCount, left.elementType == right.elementType,
            left.pieces.count == right.pieces.count,
            zip(left.pieces, right.pieces).allSatisfy({ $0.fileIndex == $1.fileIndex && $0.rowCount == $1.rowCount })
        else { return false }
        return zip(left.pieces, right.pieces).allSatisfy { first, second in
            let byteCount = first.rowCount * left.rowByteCount
            let file = files[first.fileIndex]
            // The ends and the middle tell nearly all different layers apart.
            let samples = [0, byteCount / 2, max(0, byteCount - sampleBytes)]
            return samples.allSatisfy {
                areEqual(file, first.fileOffset + $0, second.fileOffset + $0, min(sampleBytes, byteCount - $0))
            }
                && stride(from: 0, to: byteCount, by: pieceBytes).allSatisfy {
                    areEqual(file, first.fileOffset + $0, second.fileOffset + $0, min(pieceBytes, byteCount - $0))
                }
        }
    }

    /// Whether two ranges hold the same bytes; ranges that cannot be read count as different, and fail later by name.
    private static func areEqual(_ file: SafetensorsFile, _ left: Int, _ right: Int, _ byteCount: Int) -> Bool {
        guard byteCount > 0 else { return true }
        var first = [UInt8](repeating: 0, count: byteCount)
        var second = first
        do {
            try read(file, left, into: &first)
            try read(file, right, into: &second)
        } catch {
            return false
        }
        return first == second
    }

    private static func read(_ file: SafetensorsFile, _ offset: Int, into bytes: inout [UInt8]) throws {
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        try file.read(fromFileOffset: offset, into: &raw)
    }
}
