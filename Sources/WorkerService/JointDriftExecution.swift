import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension JointDriftOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await JointDriftExecution(operation: self, input: input).run(&scratch)
    }
}

/// Multiplies a task vector with pseudo-rows, some rows at a time.
struct JointDriftExecution {
    let operation: JointDriftOperation
    let input: InputReader

    private var outputs: Int { operation.shape.outputs }
    private var inputs: Int { operation.shape.inputs }

    /// Reads the vector and the pseudo-rows once.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` for a vector or products that are not finite,
    ///   ``UnitError/malformedLease(_:)`` for rows of other sizes, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let writer = try input.blobs.beginWrite(byteCount: operation.cost.outputBytes)
        guard let delta = try await vector() else { return try unknownPart(writer) }
        var drift = try JointDrift(
            of: delta, inputRank: operation.inputRank, positions: operation.positions,
            measuresInside: operation.measuresInside)
        try await add(inputsOf: &drift, &scratch)
        let gradients = try await reader(
            input.lease.inputs.blobs.count - 1, rows: operation.gradientRank, width: outputs)
        var squares = 0.0
        for first in stride(from: 0, to: operation.gradientRank, by: operation.gradientChunkRows) {
            let count = min(operation.gradientChunkRows, operation.gradientRank - first)
            let rows = try gradients.rows(first..<first + count)
            let start = ContinuousClock.now
            let products = try drift.products(with: rows)
            squares += try products.dot(products)
            scratch.kernels.note(.product, since: start)
            try products.withBytes { bytes throws in try writer.append(bytes) }
            try input.progress.step()
        }
        var measurements: [MeasurementName: [Double]] = [:]
        if operation.measuresInside {
            measurements[.insidePenalty] = [try drift.insidePenalty(rowsPerSample: operation.pooledRows)]
        }
        guard squares.isFinite, measurements.values.allSatisfy({ $0.allSatisfy(\.isFinite) }) else { throw overflow }
        return UnitResult(blobs: [try input.blobs.finish(writer)], measurements: measurements)
    }

    // MARK: - Task vector

    /// Δ, `[d_out, d_in]`; `nil` for one with weight 0 that is not finite, because it affects no other task.
    private func vector() async throws -> Matrix<Double>? {
        let reader = ParameterReader(.block(operation.block), input: input)
        let base = try await reader.read(operation.base)
        do {
            let delta = try await reader.taskVector(operation.checkpoint, base: base)
            return try delta.reshaped(rows: outputs, columns: inputs)
        } catch UnitError.nonFinite where operation.isUnweighted {
            return nil
        }
    }

    /// The part of a vector that is not finite: NaN.
    private func unknownPart(_ writer: CacheWriter) throws -> UnitResult {
        let row = [Double](repeating: .nan, count: operation.inputRank)
        for _ in 0..<operation.gradientRank { try writer.append(row.span.bytes) }
        return UnitResult(
            blobs: [try input.blobs.finish(writer)],
            measurements: operation.measuresInside ? [.insidePenalty: [.nan]] : [:])
    }

    private var overflow: UnitError {
        let file = operation.checkpoint.first.map { input.path(of: $0.ownSlice.file) } ?? "checkpoint"
        return UnitError.nonFinite(
            "\(file): the drift of \"\(input.lease.subject)\" overflows fp64, though its parameters are finite; expected "
                + "parameters near the base's. Check the checkpoint, or write \"interference: false\".")
    }

    // MARK: - Rows

    private func add(inputsOf drift: inout JointDrift, _ scratch: inout LaneScratch) async throws {
        guard !operation.hasConstants else {
            guard let constants = input.lease.inputs.numbers.first, constants.count == operation.inputRank else {
                throw UnitError.malformedLease("the constants of \(operation.inputRank) joint rows have another number")
            }
            return try drift.add(inputs: try Matrix<Double>(rows: constants.count, columns: 1, elements: constants))
        }
        let blob = try await reader(0, rows: operation.inputRank, width: inputs)
        for first in stride(from: 0, to: operation.inputRank, by: operation.inputChunkRows) {
            let count = min(operation.inputChunkRows, operation.inputRank - first)
            let rows = try blob.rows(first..<first + count)
            let start = ContinuousClock.now
            try drift.add(inputs: rows)
            scratch.kernels.note(.product, since: start)
            try input.progress.step()
        }
    }

    /// Reads an input blob of pseudo-rows.
    private func reader(_ place: Int, rows: Int, width: Int) async throws -> PseudoRowReader {
        try await PseudoRowReader(
            input.lease.inputs.blobs[place], rows: rows, positions: operation.positions, width: width, input: input)
    }
}
