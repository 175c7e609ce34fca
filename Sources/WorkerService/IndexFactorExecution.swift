import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension IndexFactorOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await IndexFactorExecution(operation: self, input: input).run(&scratch)
    }
}

/// Computes the factor A of an embedding from the indices of its rows.
struct IndexFactorExecution {
    let operation: IndexFactorOperation
    let input: InputReader

    /// Counts the indices, chunk by chunk.
    ///
    /// - Throws: ``UnitError/badInput(_:)`` for an index that no row of the embedding has, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        var sum = try IndexAccumulation(
            indexCount: operation.indexCount, appendsOne: operation.appendsOnes,
            averagesSamples: operation.averagesSamples)
        let borders = SampleBorders(
            rowSlices: operation.rowSlices, numbers: operation.sampleNumbers, input: input)
        var firstRow = 0
        for slice in operation.rowSlices {
            for first in stride(from: 0, to: slice.rows, by: operation.chunkRows) {
                let count = min(operation.chunkRows, slice.rows - first)
                let rows = firstRow + first..<firstRow + first + count
                let starts = Set(try await starts(in: rows, borders, &scratch.raw))
                try await read(count, from: first, of: slice, into: &scratch.raw)
                let start = ContinuousClock.now
                for position in 0..<count {
                    if starts.contains(rows.lowerBound + position) { sum.endSample() }
                    sum.add(try index(at: position, of: scratch.raw, row: slice.firstRow + first + position, in: slice))
                }
                scratch.kernels.note(.rankUpdate, since: start)
                try input.progress.step()
            }
            firstRow += slice.rows
        }
        guard !operation.givesDouble else { return try store(try sum.finishSum()) }
        let factor = try sum.finish(divisor: operation.divisor)
        return UnitResult(
            blobs: [try input.blobs.store(factor, at: 0)],
            measurements: [.trace: [factor.trace]])
    }

    /// Stores the diagonal in both precisions.
    private func store(_ sum: consuming PackedSymmetricMatrix<Double>) throws -> UnitResult {
        var writer = try FactorWriter(
            operation.shape, capacity: PackedRanges.elements, divisor: operation.divisor, givesDouble: true,
            place: "\(input.lease.title): ", blobs: input.blobs)
        try writer.append(sum)
        return try writer.finish()
    }

    /// The rows of a range at which samples begin; none if rows are not averaged.
    private func starts(in rows: Range<Int>, _ borders: SampleBorders, _ raw: inout [UInt8]) async throws -> [Int] {
        if let positions = operation.averagedPositions { return rows.filter { $0.isMultiple(of: positions) } }
        return operation.sampleNumbers.isEmpty ? [] : try await borders.starts(in: rows, &raw)
    }

    private func read(_ count: Int, from first: Int, of slice: RowSlice, into raw: inout [UInt8]) async throws {
        let size = UInt64(operation.indexType.byteCount)
        try await input.read(
            FileSlice(
                file: slice.slice.file, offset: slice.slice.offset + UInt64(first) * size,
                byteCount: UInt64(count) * size), into: &raw)
    }

    private func index(at position: Int, of raw: [UInt8], row: Int, in slice: RowSlice) throws -> Int {
        let index = operation.indexType.index(at: position, of: raw)
        guard (0..<Int64(operation.indexCount)).contains(index) else {
            throw UnitError.badInput(
                "\(input.path(of: slice.slice.file)): tensor \"\(input.lease.subject)\" holds the index \(index) in row "
                    + "\(row); expected 0 to \(operation.indexCount - 1), one of the \(operation.indexCount) rows of the "
                    + "base's embedding. Capture the ids that the model was given, without padding.")
        }
        return Int(index)
    }
}
