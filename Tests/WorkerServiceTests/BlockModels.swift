import Identifiers
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import UnitOperations
import WireProtocol

/// A base and three models of one block, `[d_out, d_in]` with a bias, as one row for a full block.
struct BlockModels {
    let sources: [ParameterSources]
    let file: LeasedFile
    /// vec([ΔW, Δb]), row by row, of each model.
    let vectors: [[Double]]

    /// Writes random parameters.
    ///
    /// - Parameters:
    ///   - bench: Where to.
    ///   - rows: d_out; 1 for a full block.
    ///   - inputs: d_in, without the bias.
    ///   - hasBias: Whether there is one.
    ///   - seed: Of the numbers.
    ///   - flaw: An element of the last model.
    ///   - isWide: Whether they are stored as F64.
    /// - Throws: What writing throws.
    init(
        _ bench: Bench, rows: Int, inputs: Int, hasBias: Bool, seed: UInt64, flaw: Double? = nil, isWide: Bool = false
    ) throws {
        var random = SplitMix64(seed: seed)
        let counts = hasBias ? [rows * inputs, rows] : [rows * inputs]
        var values = (0..<4).map { _ in counts.map { random.values($0).map { Double(Float($0)) } } }
        if let flaw { values[3][0][1] = flaw }
        let path = FilePath(bench.directory.appending("models\(seed).safetensors"))
        let places = (0..<4).flatMap { model in counts.indices.map { (model, $0) } }
        let writer = try SafetensorsWriter(
            path: path,
            tensors: places.map {
                TensorDescription(
                    name: "\($0)-\($1)", dataType: isWide ? .float64 : .float32, shape: [counts[$1]])
            })
        for (model, part) in places {
            let wide = values[model][part]
            let numbers = wide.map { Float($0) }
            try writer.write(isWide ? wide.span.bytes : numbers.span.bytes, to: "\(model)-\(part)")
        }
        try writer.finish()
        let file = try SafetensorsFile(opening: path)
        sources = try (0..<4).map { model in
            try counts.indices.map { part in
                let bytes = counts[part] * (isWide ? 8 : 4)
                let range = try file.fileRange(of: "\(model)-\(part)", at: 0, count: bytes)
                return TensorSource(
                    elementType: isWide ? .f64 : .f32,
                    slice: FileSlice(file: 3, offset: UInt64(range.lowerBound), byteCount: UInt64(bytes)))
            }
        }
        vectors = (1..<4).map { model in
            var vector: [Double] = []
            func add(_ part: Int, _ element: Int) {
                vector.append(values[model][part][element] - values[0][part][element])
            }
            for row in 0..<rows {
                for input in 0..<inputs { add(0, row * inputs + input) }
                if hasBias { add(1, row) }
            }
            return vector
        }
        self.file = LeasedFile(
            path: path.string, byteCount: UInt64(file.identity.byteCount),
            headerDigest: BlobDigest(sha256: file.identity.headerDigest))
    }
}
