import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension PenaltyOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await PenaltyExecution(operation: self, input: input).run(&scratch)
    }
}

/// Evaluates the bilinear form of one block's factors for each pair of several task vectors.
struct PenaltyExecution {
    let operation: PenaltyOperation
    let input: InputReader
    /// The number of task vectors that are kept; the others are read again for each later one.
    private let keptVectorCount: Int

    /// Prepares the evaluation; tests keep fewer vectors than the operation's cost allows.
    init(operation: PenaltyOperation, input: InputReader, keptVectorCount: Int? = nil) {
        self.operation = operation
        self.input = input
        self.keptVectorCount = keptVectorCount ?? operation.keptVectorCount
    }

    /// What multiplies a task vector with the factors: BΔA, or Fδ.
    private typealias Product = (borrowing Matrix<Double>) throws -> Matrix<Double>

    /// The numbers of all pairs.
    private struct Values {
        var penalties: [Double] = []
        var pairs: [Double] = []
        var squaredNorms: [Double] = []
    }

    /// Evaluates tr(B Δ_i A Δ_kᵀ) or δ_iᵀ F δ_k for all i ≤ k.
    ///
    /// - Throws: What reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let reader = ParameterReader(.block(operation.block), input: input)
        let factors = input.lease.inputs.blobs
        let values: Values
        switch operation.block {
        case .linear:
            let shapes = operation.block.factors.map(\.shape)
            let penalty = try KroneckerPenalty(
                inputFactor: try await input.factor(factors[0], of: shapes[0]),
                gradientFactor: try await input.factor(factors[1], of: shapes[1]))
            values = try await evaluate(reader, &scratch) { try penalty.product(with: $0) }
        case .full:
            let penalty = try FullBlockPenalty(
                block: try await input.factor(factors[0], of: .full(reader.shape.columns)))
            values = try await evaluate(reader, &scratch) { try penalty.product(with: $0) }
        }
        try requireFinite(values.penalties)
        var measurements = [MeasurementName.penalties: values.penalties, .squaredNorms: values.squaredNorms]
        if !values.pairs.isEmpty { measurements[.pairPenalties] = values.pairs }
        return UnitResult(measurements: measurements)
    }

    private func evaluate(
        _ reader: ParameterReader, _ scratch: inout LaneScratch, _ product: Product
    ) async throws -> Values {
        let base = try await reader.read(operation.base)
        let count = operation.checkpoints.count
        // Row i is Δ_i.
        var kept = try Matrix<Double>(rows: keptVectorCount, columns: base.elementCount)
        var values = Values()
        for position in 0..<count {
            let image: Matrix<Double>
            let (own, squaredNorm): (Double, Double)
            do {
                guard let delta = try await vector(position, reader, base: base) else {
                    values.penalties.append(.nan)
                    values.squaredNorms.append(.nan)
                    values.pairs += [Double](repeating: .nan, count: position)
                    try input.progress.step()
                    continue
                }
                let start = ContinuousClock.now
                image = try product(delta)
                own = try delta.dot(image)
                squaredNorm = try delta.dot(delta)
                scratch.kernels.note(.product, since: start)
                if position < kept.rowCount { try kept.set(row: position, to: delta) }
            }
            for earlier in 0..<position {
                values.pairs.append(try await dot(earlier, image, kept: kept, values.penalties, reader, base: base))
            }
            values.penalties.append(own)
            values.squaredNorms.append(squaredNorm)
            try input.progress.step()
        }
        return values
    }

    /// The inner product of an earlier task vector with the image of a later one.
    private func dot(
        _ earlier: Int, _ image: borrowing Matrix<Double>, kept: borrowing Matrix<Double>, _ penalties: [Double],
        _ reader: ParameterReader, base: borrowing Matrix<Double>
    ) async throws -> Double {
        guard !penalties[earlier].isNaN else { return .nan }
        guard earlier < kept.rowCount else {
            guard let delta = try await vector(earlier, reader, base: base) else { return .nan }
            try input.progress.step()
            return try delta.dot(image)
        }
        return try kept.dot(row: earlier, image)
    }

    /// Refuses penalties that overflow, unless their vector has no weight.
    private func requireFinite(_ penalties: [Double]) throws {
        let unweighted = Set(operation.unweighted)
        guard let position = penalties.indices.first(where: { !penalties[$0].isFinite && !unweighted.contains($0) })
        else { return }
        let file = operation.checkpoints[position].first.map { input.path(of: $0.ownSlice.file) } ?? "checkpoint"
        throw UnitError.nonFinite(
            "\(file): the penalty of \"\(input.lease.subject)\" overflows fp64, though its parameters are finite; "
                + "expected parameters near the base's. Check the checkpoint, or write \"interference: false\".")
    }

    /// A task vector; `nil` for one with weight 0 that is not finite, because it affects no other task.
    private func vector(
        _ position: Int, _ reader: ParameterReader, base: borrowing Matrix<Double>
    ) async throws -> Matrix<Double>? {
        do {
            return try await reader.taskVector(operation.checkpoints[position], base: base)
        } catch UnitError.nonFinite where operation.unweighted.contains(position) {
            return nil
        }
    }
}

extension Matrix where Scalar == Double {
    /// Copies a matrix of as many elements as a row has into the row.
    fileprivate mutating func set(row: Int, to other: borrowing Matrix<Double>) throws {
        let start = row * columnCount
        try withMutableSpan { (elements: inout MutableSpan<Double>) throws(LinearAlgebraError) in
            var target = elements._mutatingExtracting(start..<start + other.elementCount)
            try other.withSpan { (other: Span<Double>) throws(LinearAlgebraError) in
                try VectorOperations.add(other, to: &target)
            }
        }
    }

    /// The inner product of a row with a matrix of as many elements.
    fileprivate borrowing func dot(row: Int, _ other: borrowing Matrix<Double>) throws -> Double {
        let range = row * columnCount..<(row + 1) * columnCount
        return try withSpan { (elements: Span<Double>) throws(LinearAlgebraError) in
            try other.withSpan { (other: Span<Double>) throws(LinearAlgebraError) in
                try VectorOperations.dot(elements.extracting(range), other)
            }
        }
    }
}
