import FileAccess
import Identifiers
import JobFiles
import LinearAlgebra
import Safetensors

/// Finds layers that read the same rows (q, k and v; gate and up).
///
/// Their A is equal, and is computed once.
///
/// Layers are grouped by shape and a few samples of their rows. Within a group, the digest of all rows decides. That
/// reads rows once more, but only where it may save a whole factor. The time is proportional to the number of layers.
enum SharedRows {
    private static let sampleBytes = 4096

    /// The shape and the samples that layers with the same rows share.
    private struct Traits: Hashable {
        let columns: Int
        /// Different counts of samples divide the same rows differently.
        let sampleCount: Int
        let rowType: RowType
        let pieces: [Piece]
        let samples: [UInt8]

        /// The samples tell nearly all layers apart, and the shape those whose rows are zero.
        func hash(into hasher: inout Hasher) {
            hasher.combine(samples)
            hasher.combine(columns)
            hasher.combine(pieces.first?.rows)
        }
    }

    private struct Piece: Hashable {
        let file: Int
        let rows: Int
    }

    /// The first earlier layer with the same input rows, for every layer that has one.
    ///
    /// - Parameters:
    ///   - set: The captures of a task.
    ///   - onLayer: Called for each layer before its check.
    /// - Returns: Names by names. Rows that cannot be read count as different, and fail later by name.
    static func find(in set: CaptureSet, onLayer: (Int) -> Void = { _ in }) -> [LayerName: LayerName] {
        var groups: [Traits: [Int]] = [:]
        for (index, layer) in set.layers.enumerated() {
            guard !Task.isCancelled else { return [:] }
            onLayer(index)
            guard let traits = traits(of: layer, in: set.files) else { continue }
            groups[traits, default: []].append(index)
        }
        let candidates = groups.values.filter { $0.count > 1 }.flatMap { $0 }
        let digests = digests(of: candidates.map { set.layers[$0] }, in: set.files)
        var originals: [[UInt8]: Int] = [:]
        var shared: [LayerName: LayerName] = [:]
        for (index, digest) in zip(candidates, digests).sorted(by: { $0.0 < $1.0 }) {
            guard let digest else { continue }
            if let original = originals[digest] {
                shared[set.layers[index].name] = set.layers[original].name
            } else {
                originals[digest] = index
            }
        }
        return shared
    }

    /// Shape and samples; the ends and the middle of the first file's rows tell nearly all different layers apart.
    private static func traits(of layer: CaptureSet.Layer, in files: [SafetensorsFile]) -> Traits? {
        let tensor = layer.input
        guard let first = tensor.pieces.first else { return nil }
        let byteCount = first.rowCount * tensor.rowByteCount
        var samples: [UInt8] = []
        let starts =
            byteCount <= sampleBytes ? [0] : Set([0, byteCount / 2, max(0, byteCount - sampleBytes)]).sorted()
        for start in starts {
            var bytes = [UInt8](repeating: 0, count: min(sampleBytes, byteCount - start))
            var span = bytes.mutableSpan
            var raw = span.mutableBytes
            do {
                try files[first.fileIndex].read(fromFileOffset: first.fileOffset + start, into: &raw)
            } catch {
                return nil
            }
            samples += bytes
        }
        return Traits(
            columns: tensor.columnCount, sampleCount: layer.sampleCount, rowType: tensor.rowType,
            pieces: tensor.pieces.map { Piece(file: $0.fileIndex, rows: $0.rowCount) },
            samples: samples.count <= 64 ? samples : FileDigest.sha256(of: samples))
    }

    /// The digest of the shape of each layer's input, of its rows and of their samples; `nil` when they cannot be read.
    ///
    /// Files are read one after the other, so that few need to be open at a time.
    private static func digests(of layers: [CaptureSet.Layer], in files: [SafetensorsFile]) -> [[UInt8]?] {
        var chains: [[UInt8]?] = layers.map { Array("\($0.input.rowType.name) \($0.input.columnCount)".utf8) }
        var readers: [Int: [(index: Int, tensor: String)]] = [:]
        for (index, layer) in layers.enumerated() {
            for piece in layer.input.pieces { readers[piece.fileIndex, default: []].append((index, layer.input.name)) }
            for piece in layer.rowSamples {
                readers[piece.fileIndex, default: []].append((index, CaptureTensorName.rowSamples(layer.name).name))
            }
        }
        for (file, readers) in readers.sorted(by: { $0.key < $1.key }) {
            for (index, tensor) in readers {
                guard !Task.isCancelled, let chain = chains[index] else { continue }
                let digest = try? files[file].sha256(of: tensor)
                chains[index] = digest.map { FileDigest.sha256(of: chain + Array("\(file)".utf8) + $0) }
            }
        }
        return chains
    }
}
