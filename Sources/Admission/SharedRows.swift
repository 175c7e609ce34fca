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

    /// What the layers of a task's captures share.
    struct Findings {
        /// The first earlier layer with the same input rows and samples, for every layer that has one.
        var shared: [LayerName: LayerName] = [:]
        /// Layers that do not state the samples of their rows, each with a layer of the same rows that does.
        var silent: [(layer: LayerName, stating: LayerName)] = []
    }

    /// The digests of a layer's input rows and of their samples.
    private struct Digests {
        var rows: [UInt8]
        var samples: [UInt8] = []
    }

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

    /// Compares the input rows of all layers.
    ///
    /// - Parameters:
    ///   - set: The captures of a task.
    ///   - onLayer: Called for each layer before its check.
    /// - Returns: Names by names. Rows that cannot be read count as different, and fail later by name.
    static func find(in set: CaptureSet, onLayer: (Int) -> Void = { _ in }) -> Findings {
        var groups: [Traits: [Int]] = [:]
        for (index, layer) in set.layers.enumerated() {
            guard !Task.isCancelled else { return Findings() }
            onLayer(index)
            guard let traits = traits(of: layer, in: set.files) else { continue }
            groups[traits, default: []].append(index)
        }
        let candidates = groups.values.filter { $0.count > 1 }.flatMap { $0 }
        let digests = digests(of: candidates.map { set.layers[$0] }, in: set.files)
        let read = zip(candidates, digests).sorted { $0.0 < $1.0 }.compactMap { index, digests in
            digests.map { (layer: set.layers[index], digests: $0) }
        }
        var (originals, stating): ([[UInt8]: LayerName], [[UInt8]: LayerName]) = ([:], [:])
        var findings = Findings()
        for (layer, digests) in read {
            if !layer.rowSamples.isEmpty, stating[digests.rows] == nil { stating[digests.rows] = layer.name }
            if let original = originals[digests.rows + digests.samples] {
                findings.shared[layer.name] = original
            } else {
                originals[digests.rows + digests.samples] = layer.name
            }
        }
        for (layer, digests) in read where layer.rowSamples.isEmpty && layer.positionCount.map({ $0 > 1 }) ?? false {
            if let other = stating[digests.rows] { findings.silent.append((layer.name, other)) }
        }
        return findings
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

    /// The digests of each layer's input, with its shape, and of its samples; `nil` when they cannot be read.
    ///
    /// Files are read one after the other, so that few need to be open at a time.
    private static func digests(of layers: [CaptureSet.Layer], in files: [SafetensorsFile]) -> [Digests?] {
        var found: [Digests?] = layers.map {
            Digests(rows: Array("\($0.input.rowType.name) \($0.input.columnCount)".utf8))
        }
        var readers: [Int: [(index: Int, tensor: String, part: WritableKeyPath<Digests, [UInt8]>)]] = [:]
        for (index, layer) in layers.enumerated() {
            for piece in layer.input.pieces {
                readers[piece.fileIndex, default: []].append((index, layer.input.name, \.rows))
            }
            for piece in layer.rowSamples {
                let name = CaptureTensorName.rowSamples(layer.name).name
                readers[piece.fileIndex, default: []].append((index, name, \.samples))
            }
        }
        for (file, readers) in readers.sorted(by: { $0.key < $1.key }) {
            for (index, tensor, part) in readers {
                guard !Task.isCancelled, var digests = found[index] else { continue }
                guard let digest = try? files[file].sha256(of: tensor) else {
                    found[index] = nil
                    continue
                }
                digests[keyPath: part] = FileDigest.sha256(
                    of: digests[keyPath: part] + Array("\(file)".utf8) + digest)
                found[index] = digests
            }
        }
        return found
    }
}
