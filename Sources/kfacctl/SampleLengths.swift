import Console
import Identifiers
import JobFiles
import LinearAlgebra
import Safetensors
import SystemPackage

extension CaptureSet {
    /// Bytes of sample numbers that are read at a time.
    private static let numberBlockBytes = 1 << 20

    /// The rows of each sample of a layer, for each part of its input, in order; samples without rows are left out.
    ///
    /// - Throws: ``CommandFailure`` for sample numbers that decrease or that no sample has, or what reading throws.
    func sampleLengths(of layer: Layer) throws -> [[Int]] {
        if let positions = layer.positionCount {
            return layer.input.pieces.map { [Int](repeating: positions, count: $0.rowCount / positions) }
        }
        return try zip(layer.rowSamples, layer.input.pieces).map { numbers, rows in
            try lengths(numbers, sampleCount: rows.sampleCount, layer.name)
        }
    }

    private func lengths(_ numbers: RowSamples, sampleCount: Int, _ layer: LayerName) throws -> [Int] {
        let type: IndexType = numbers.dataType == .int64 ? .i64 : .i32
        var lengths: [Int] = []
        var previous: Int64?
        let blockCount = Self.numberBlockBytes / type.byteCount
        for first in stride(from: 0, to: numbers.rowCount, by: blockCount) {
            let count = min(blockCount, numbers.rowCount - first)
            let bytes = try bytes(
                ofFile: numbers.fileIndex, at: numbers.fileOffset + first * type.byteCount,
                count: count * type.byteCount)
            for position in 0..<count {
                let number = type.index(at: position, of: bytes)
                let place = "\(numbers.file): tensor \"\(CaptureTensorName.rowSamples(layer).name)\""
                guard number >= 0, number < sampleCount else {
                    throw CommandFailure(
                        .badInput,
                        "\(place) states sample \(number) for row \(first + position); expected 0 to \(sampleCount - 1), "
                            + "one of the \(sampleCount) samples. Correct it, or the number of samples.")
                }
                if let previous, number < previous {
                    throw CommandFailure(
                        .badInput,
                        "\(place) decreases from \(previous) to \(number) in row \(first + position); expected all rows "
                            + "of a sample one after the other, samples in order. Sort the rows by sample.")
                }
                if number == previous { lengths[lengths.count - 1] += 1 } else { lengths.append(1) }
                previous = number
            }
        }
        return lengths
    }

    /// Bytes of one of the files.
    ///
    /// - Throws: `SafetensorsError`.
    func bytes(ofFile index: Int, at offset: Int, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        try files[index].read(fromFileOffset: offset, into: &raw)
        return bytes
    }
}
