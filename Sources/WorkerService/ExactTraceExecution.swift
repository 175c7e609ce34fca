import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension ExactTraceOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await ExactTraceExecution(operation: self, input: input).run(&scratch)
    }
}

/// Measures the exact trace of a layer's Gauss-Newton block, slice by slice and probe by probe.
///
/// Source: DESIGN section 2.1.
struct ExactTraceExecution {
    let operation: ExactTraceOperation
    let input: InputReader

    /// The rows of one probe in one slice.
    private struct Part {
        let inputs: RowSlice
        let gradients: RowSlice
        /// The first input row, counted over all slices.
        let firstRow: Int
    }

    /// Reads the rows, and sums the norms of the samples.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` or ``UnitError/badInput(_:)`` for rows that give no finite trace, or what
    ///   reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let (columns, capacity) = (operation.gradients.columns, operation.chunkRows)
        let total: Double
        switch operation.inputs.type {
        case .numbers(let type):
            var norms = SampleGradientNorms(
                inputColumns: operation.inputs.columns, appendsOne: operation.appendsOnes, gradientColumns: columns,
                capacity: capacity)
            let width = operation.inputWidth
            total = try await sum(&norms, &scratch) { norms, slice, raw in
                try await readNumbers(
                    operation.inputs, type, slice, width: width, into: &norms.inputs, &raw, of: "input")
            }
        case .indices(let type):
            var norms = IndexedGradientNorms(
                appendsOne: operation.appendsOnes, gradientColumns: columns, capacity: capacity)
            total = try await sum(&norms, &scratch) { norms, slice, raw in
                try await input.read(slice.slice, into: &raw)
                for row in 0..<slice.rows { norms.indices[row] = Int(type.index(at: row, of: raw)) }
            }
        }
        let trace = total / operation.divisor
        guard trace.isFinite else {
            throw UnitError.badInput(
                "\(place(operation.inputs.slices.first)): the rows of layer \"\(input.lease.subject)\" have products "
                    + "beyond fp32, so no exact trace; expected magnitudes whose products stay below 3.4e38. Scale the captures "
                    + "of all tasks down.")
        }
        return UnitResult(measurements: [.exactTrace: [trace]])
    }

    /// Sums the norms of all samples.
    private func sum<Norms: SampleNormSum>(
        _ norms: inout Norms, _ scratch: inout LaneScratch,
        _ readInputs: (inout Norms, RowSlice, inout [UInt8]) async throws -> Void
    ) async throws -> Double {
        guard case .numbers(let type) = operation.gradients.type else {
            throw UnitError.malformedLease("the gradients of \"\(input.lease.subject)\" are indices")
        }
        for part in parts {
            var first = 0
            while first < part.inputs.rows {
                let (range, ends) = try await window(from: first, of: part, &scratch.raw)
                try await readInputs(
                    &norms, part.inputs.cut(to: range, rowBytes: operation.inputs.rowBytes), &scratch.raw)
                try await readNumbers(
                    operation.gradients, type,
                    part.gradients.cut(to: range, rowBytes: operation.gradients.rowBytes),
                    width: operation.gradients.columns, into: &norms.gradients, &scratch.raw, of: "output_grad")
                let start = ContinuousClock.now
                var row = first
                for end in ends.isEmpty ? [range.upperBound] : ends {
                    try norms.add(rows: row - first..<end - first, endsSample: !ends.isEmpty)
                    row = end
                }
                scratch.kernels.note(.product, since: start)
                try input.progress.step()
                first = range.upperBound
            }
        }
        return norms.total
    }

    /// The probes of each slice, in the order of the slices.
    private var parts: [Part] {
        var (parts, firstRow): ([Part], Int) = ([], 0)
        for (inputs, gradients) in zip(operation.inputs.slices, operation.gradients.slices) {
            for probe in 0..<operation.probes {
                let rows = probe * inputs.rows..<(probe + 1) * inputs.rows
                parts.append(
                    Part(
                        inputs: inputs, gradients: gradients.cut(to: rows, rowBytes: operation.gradients.rowBytes),
                        firstRow: firstRow))
            }
            firstRow += inputs.rows
        }
        return parts
    }

    /// The rows of a part that are read next, and the ends of samples among them.
    ///
    /// They are whole samples, unless one sample has more rows than a chunk.
    private func window(
        from first: Int, of part: Part, _ raw: inout [UInt8]
    ) async throws -> (rows: Range<Int>, ends: [Int]) {
        let end = min(first + operation.chunkRows, part.inputs.rows)
        var ends: [Int]
        switch operation.borders {
        case .positions(let positions):
            let next = (first / positions + 1) * positions
            ends = Array(stride(from: next, through: end, by: positions))
        case .numbers(let numbers):
            let borders = SampleBorders(rowSlices: operation.inputs.slices, numbers: numbers, input: input)
            let rows = part.firstRow + first + 1..<part.firstRow + min(end + 1, part.inputs.rows)
            ends = rows.isEmpty ? [] : try await borders.starts(in: rows, &raw).map { $0 - part.firstRow }
        }
        if end == part.inputs.rows, ends.last != end { ends.append(end) }
        return (first..<(ends.last ?? end), ends)
    }

    /// Reads rows of numbers into a buffer whose rows may be wider, and requires that they are finite.
    private func readNumbers(
        _ rows: ExactTraceOperation.Rows, _ type: ElementType, _ slice: RowSlice, width: Int,
        into buffer: inout [Float], _ raw: inout [UInt8], of tensor: String
    ) async throws {
        try await input.read(slice.slice, into: &raw)
        if let element = type.firstNonFinite(in: raw.span.bytes) {
            throw UnitError.nonFinite(
                "\(place(slice)): tensor \"\(input.lease.subject).\(tensor)\" holds NaN or infinity, first in row "
                    + "\(slice.firstRow + element / rows.columns); expected finite values. Capture the task again.")
        }
        var span = buffer.mutableSpan
        // Rows with room for a one are apart from each other.
        let (count, length) = width == rows.columns ? (1, slice.rows * width) : (slice.rows, rows.columns)
        for row in 0..<count {
            var target = span._mutatingExtracting(row * width..<row * width + length)
            let bytes = row * rows.rowBytes..<row * rows.rowBytes + length * type.byteCount
            try type.decode(raw.span.bytes.extracting(bytes), into: &target)
        }
    }

    private func place(_ slice: RowSlice?) -> String { slice.map { input.path(of: $0.slice.file) } ?? "capture" }
}

extension RowSlice {
    /// Some of the slice's rows.
    fileprivate func cut(to range: Range<Int>, rowBytes: Int) -> RowSlice {
        RowSlice(
            slice: FileSlice(
                file: slice.file, offset: slice.offset + UInt64(range.lowerBound) * UInt64(rowBytes),
                byteCount: UInt64(range.count) * UInt64(rowBytes)),
            rows: range.count, firstRow: firstRow + range.lowerBound)
    }
}
