import Console
import Identifiers
import JobFiles
import KroneckerFactors
import LinearAlgebra
import SystemPackage

/// Sums ‖Σ_p g_p ã_pᵀ‖² over the samples and probes of captured layers, with p over the rows of a sample.
///
/// Source: DESIGN section 2.1.
struct CaptureTraces {
    /// Bytes of rows, as fp32, that are held at a time.
    private static let chunkBytes = 64 << 20

    let captures: CaptureSet
    let hasBias: [String: Bool]

    /// The sums by layer.
    ///
    /// - Throws: ``CommandFailure`` for rows whose samples are not known, or that give no finite sum, or what reading
    ///   throws.
    func sums() throws -> [String: Double] {
        let unknown = captures.layers.first { $0.positionCount == nil && $0.rowSamples.isEmpty }
        if let unknown {
            let name = unknown.name.rawValue
            throw CommandFailure(
                .badInput,
                "\(place(of: unknown)): layer \"\(name)\" has \(unknown.input.rowCount) rows of \(unknown.sampleCount) samples; "
                    + "\"--balance\" needs the sample of each row. Capture it with \"\(name).row_samples\", or leave "
                    + "\"--balance\" out.")
        }
        var sums: [String: Double] = [:]
        for layer in captures.layers { sums[layer.name.rawValue] = try sum(of: layer) }
        return sums
    }

    private func sum(of layer: CaptureSet.Layer) throws -> Double {
        let (inputs, gradients) = (layer.input, layer.outputGradient)
        let appendsOne = hasBias[layer.name.rawValue] == true
        let elements = inputs.columnCount.saturatingSum(gradients.columnCount).saturatingSum(1)
        let capacity = max(1, min(inputs.rowCount, Self.chunkBytes / elements.saturatingProduct(4)))
        let total: Double
        if let type = inputs.indexType {
            var norms = IndexedGradientNorms(
                appendsOne: appendsOne, gradientColumns: gradients.columnCount, capacity: capacity)
            total = try sum(of: layer, capacity, &norms) { norms, piece, rows in
                let bytes = try captures.bytes(
                    ofFile: piece.fileIndex, at: piece.fileOffset + rows.lowerBound * type.byteCount,
                    count: rows.count * type.byteCount)
                for row in 0..<rows.count { norms.indices[row] = Int(type.index(at: row, of: bytes)) }
            }
        } else {
            var norms = SampleGradientNorms(
                inputColumns: inputs.columnCount, appendsOne: appendsOne, gradientColumns: gradients.columnCount,
                capacity: capacity)
            let width = norms.inputWidth
            var chunk = try Matrix<Float>(rows: capacity, columns: inputs.columnCount)
            total = try sum(of: layer, capacity, &norms) { norms, piece, rows in
                let first = piece.firstRow + rows.lowerBound
                try captures.readRows(inputs, first..<first + rows.count, into: &chunk)
                Self.copy(chunk, rows.count, width: width, to: &norms.inputs)
            }
        }
        guard total.isFinite else {
            throw CommandFailure(
                .badInput,
                "\(place(of: layer)): the rows of layer \"\(layer.name.rawValue)\" hold NaN or infinity, or have products beyond "
                    + "fp32, so no exact trace; expected finite values whose products stay below 3.4e38. Capture the task "
                    + "again, or scale the captures of all tasks down.")
        }
        return total
    }

    /// Adds the samples of all files and probes.
    private func sum<Norms: SampleNormSum>(
        of layer: CaptureSet.Layer, _ capacity: Int, _ norms: inout Norms,
        _ readInputs: (inout Norms, CapturedTensor.Piece, Range<Int>) throws -> Void
    ) throws -> Double {
        let gradients = layer.outputGradient
        var chunk = try Matrix<Float>(rows: capacity, columns: gradients.columnCount)
        let lengths = try captures.sampleLengths(of: layer)
        for (piece, (own, ofGradients)) in zip(layer.input.pieces, zip(lengths, gradients.pieces)) {
            for probe in 0..<captures.probeCount {
                let firstGradient = ofGradients.firstRow + probe * piece.rowCount
                var windows = SampleWindows(lengths: own, capacity: capacity)
                while let (rows, ends) = windows.next() {
                    try readInputs(&norms, piece, rows)
                    let first = firstGradient + rows.lowerBound
                    try captures.readRows(gradients, first..<first + rows.count, into: &chunk)
                    Self.copy(chunk, rows.count, width: gradients.columnCount, to: &norms.gradients)
                    var start = 0
                    for end in ends.isEmpty ? [rows.count] : ends {
                        try norms.add(rows: start..<end, endsSample: !ends.isEmpty)
                        start = end
                    }
                }
            }
        }
        return norms.total
    }

    /// Copies rows into a buffer whose rows may be wider.
    private static func copy(
        _ matrix: borrowing Matrix<Float>, _ count: Int, width: Int, to buffer: inout [Float]
    ) {
        let columns = matrix.columnCount
        matrix.withSpan { source in
            for row in 0..<count {
                for column in 0..<columns { buffer[row * width + column] = source[row * columns + column] }
            }
        }
    }

    private func place(of layer: CaptureSet.Layer) -> String { layer.input.pieces.first?.file.string ?? "captures" }
}

/// The rows of a file's samples, in parts that fit a buffer: whole samples, or a part of one that does not fit.
private struct SampleWindows {
    private var lengths: ArraySlice<Int>
    private let capacity: Int
    private var row = 0
    /// Rows of the first sample that were given already.
    private var open = 0

    init(lengths: [Int], capacity: Int) {
        self.lengths = lengths[...]
        self.capacity = capacity
    }

    /// The next rows, and where samples end among them, counted from the first; nil after the last.
    mutating func next() -> (rows: Range<Int>, ends: [Int])? {
        guard !lengths.isEmpty else { return nil }
        var (count, ends): (Int, [Int]) = (0, [])
        while let length = lengths.first, count + length - open <= capacity {
            count += length - open
            open = 0
            ends.append(count)
            lengths.removeFirst()
        }
        if ends.isEmpty {
            count = capacity
            open += capacity
        }
        row += count
        return (row - count..<row, ends)
    }
}
