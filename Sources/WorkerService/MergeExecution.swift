import Identifiers
import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import UnitOperations
import WireProtocol

extension MergeOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await MergeExecution(operation: self, input: input).run(by: MergeMethod(named: method), &scratch)
    }
}

/// The merge of a block or of a whole tensor: it reads task by task, as often as the method's computation asks, and
/// writes the merged parameters, or what it measured.
struct MergeExecution {
    let operation: MergeOperation
    let input: InputReader

    var reader: ParameterReader { ParameterReader(operation.parameters, input: input) }

    /// Solves for Δ and writes θ_0 + α Δ in the output types, or measures.
    ///
    /// - Parameters:
    ///   - method: The method of the operation's name; `nil` for a name that is not registered.
    ///   - scratch: The lane's memory for scratch.
    /// - Returns: The merged parameters, or the statistics.
    /// - Throws: ``UnitError/badInput(_:)`` for parameters or factors that are not finite, or what reading throws.
    func run(by method: MergeMethod?, _ scratch: inout LaneScratch) async throws -> UnitResult {
        let name = operation.method.excerpt
        do {
            if operation.measures {
                guard let statistics = method?.statistics(for: operation.arguments) else {
                    throw UnitError.malformedLease("this program has no statistics for \"\(name)\"")
                }
                try requireRounds(operation.roundCount < statistics.rounds)
                return try await measure(statistics, &scratch)
            }
            if operation.measuresTensor {
                guard case .tensor = operation.parameters,
                    let measured = method?.scope.measured(operation.arguments)
                else { throw UnitError.malformedLease("this program does not measure tensors for \"\(name)\"") }
                try requireRounds(operation.roundCount == method?.statistics(for: operation.arguments)?.rounds ?? 0)
                return try await measureTensor(by: measured.measurement, &scratch)
            }
            guard operation.rank == 0 || operation.parameters.count == 1 else {
                throw UnitError.malformedLease("\"\(input.lease.subject)\" has no one vector to make factors of")
            }
            guard operation.outputTypes.count == operation.parameters.count else {
                throw UnitError.malformedLease("\"\(input.lease.subject)\" has \(operation.outputTypes.count) outputs")
            }
            guard !operation.readsSolution else { return try await writeSolution() }
            guard let computation = operation.computation(by: method) else {
                throw UnitError.malformedLease("this program has no merge on workers by \"\(name)\"")
            }
            try requireRounds(operation.roundCount == method?.statistics(for: operation.arguments)?.rounds ?? 0)
            return try await merge(computation, &scratch)
        } catch let error as TaskArithmeticError {
            guard error.isBadInput else { throw error }
            throw UnitError.badInput("merge of \"\(input.lease.subject)\": \(error)")
        }
    }

    /// Refuses a lease with other rounds of statistics than the method has.
    private func requireRounds(_ isRight: Bool) throws {
        guard !isRight else { return }
        throw UnitError.malformedLease(
            "\"\(input.lease.subject)\" has \(operation.roundCount) rounds of statistics, which "
                + "\"\(operation.method.excerpt)\" does not take")
    }

    /// θ_0, or zeros where the models themselves are merged.
    func base() async throws -> Matrix<Double> {
        guard operation.base.isEmpty else { return try await reader.read(operation.base) }
        return try Matrix(rows: operation.parameters.shape.rows, columns: operation.parameters.shape.columns)
    }

    /// θ_0 where the models themselves are merged and the base is one of them, or their origin; else nothing.
    private func knownBase() async throws -> Matrix<Double>? {
        guard operation.base.isEmpty, operation.outputTypes.contains(where: \.isHalf),
            let base = operation.tasks.first(where: { $0.place == 0 })
        else { return nil }
        return try await reader.read(base.parameters)
    }

    private func merge<Computation: StreamedComputation & ~Copyable>(
        _ computation: Computation.Type, _ scratch: inout LaneScratch
    ) async throws -> UnitResult {
        let base = try await base()
        var merge = try Computation(try problem)
        try await read(by: &merge, base, &scratch)
        let start = ContinuousClock.now
        let merged = try merge.finish()
        scratch.kernels.note(.solve, since: start)
        try input.progress.step()
        var output = UnitResult()
        for health in merged.healths {
            scratch.kernels.note(health)
            output.measurements.merge(health.measurements) { $0 + $1 }
        }
        if let norms = merged.norms { output.measurements.merge(norms.measurements) { $1 } }
        if let solution = merged.solution {
            output.measurements.merge(solution.measurements) { $1 }
            output.measurements[.roundingValues] = rounding(among: solution.raisedValues, base)
        }
        try await store(merged.intoValues(), base, in: &output)
        return output
    }

    /// Stores a merged vector: the parameters with it, or its two factors; and says what rounding or the rank lost.
    func store(
        _ delta: consuming Matrix<Double>, _ base: borrowing Matrix<Double>, in output: inout UnitResult
    ) async throws {
        guard operation.rank == 0 else {
            let factors = try factored(delta)
            output.blobs = factors.blobs
            output.measurements.merge(factors.measurements) { $1 }
            return
        }
        let (blobs, losses) = try encode(base, delta, lossFrom: try await knownBase())
        output.blobs = blobs
        if losses.contains(where: { $0 != RoundingLoss() }) {
            output.measurements[.roundingLoss] = losses.flatMap { [$0.errorSquares, $0.changeSquares] }
        }
    }

    private func measure<Statistics: ModelStatistics & ~Copyable>(
        _ statistics: Statistics.Type, _ scratch: inout LaneScratch
    ) async throws -> UnitResult {
        let base = try await base()
        var part = try Statistics(try problem)
        try await read(by: &part, base, &scratch)
        let start = ContinuousClock.now
        let numbers = try part.finish()
        scratch.kernels.note(.solve, since: start)
        try input.progress.step()
        return UnitResult(measurements: [.statistics: try numbers.checkedStatistics(of: input.lease.title)])
    }

    // MARK: - Passes

    var problem: MergeProblem {
        get throws {
            MergeProblem(
                shape: operation.parameters.shape, models: models,
                damping: try Damping(operation.damping.rule, operation.damping.value), divides: operation.divides,
                arguments: operation.arguments, statistics: input.lease.inputs.numbers)
        }
    }

    private var models: [MergedModel] {
        operation.tasks.map {
            MergedModel(
                place: $0.place, weight: $0.weight, lambda: $0.lambda, arguments: $0.arguments,
                randomStream: $0.randomStream)
        }
    }

    /// Reads the models in all passes that a computation asks for.
    private func read<Passes: ModelPasses & ~Copyable>(
        by passes: inout Passes, _ base: borrowing Matrix<Double>, _ scratch: inout LaneScratch
    ) async throws {
        let models = models
        while let pass = passes.nextPass {
            for (position, model) in models.enumerated() {
                if pass.contains(.inverses), position < max(1, operation.inverseCount) {
                    try passes.addInverses(try await inverses(ofTask: position), of: model)
                }
                if !pass.isDisjoint(with: [.factors, .values]) {
                    let factors = try await factors(ofTask: position, in: pass)
                    if pass.contains(.values) {
                        let values = try await reader.taskVector(operation.tasks[position].parameters, base: base)
                        let start = ContinuousClock.now
                        try passes.add(values, factors: factors, of: model)
                        scratch.kernels.note(.product, since: start)
                    } else {
                        try passes.addFactors(factors, of: model)
                    }
                }
                try input.progress.step()
            }
            let start = ContinuousClock.now
            try passes.endPass()
            scratch.kernels.note(.solve, since: start)
        }
    }

    /// A task's factors, in a pass that reads them.
    private func factors(ofTask position: Int, in pass: MergePass) async throws -> TaskFactors {
        guard pass.contains(.factors) else { return .none }
        return try await matrices(at: position, inDouble: operation.readsDouble)
    }

    /// The inverses of a task's target; those for all tasks are the first task's.
    private func inverses(ofTask position: Int) async throws -> TaskFactors {
        guard operation.inverseCount > 0 else { return .none }
        return try await matrices(at: operation.tasks.count + position, inDouble: false)
    }

    /// A then B, or F, at a position among the lease's blobs: the tasks' factors, then the inverses.
    private func matrices(at position: Int, inDouble: Bool) async throws -> TaskFactors {
        let blobs = input.lease.inputs.blobs
        let shapes = operation.parameters.factors.map(\.shape)
        switch operation.parameters {
        case .block(.linear):
            let factor = try await matrix(blobs[2 * position], of: shapes[0], inDouble: inDouble)
            let gradient = try await matrix(blobs[2 * position + 1], of: shapes[1], inDouble: inDouble)
            return .layer(LayerFactors(input: factor, gradient: gradient))
        case .block(.full): return .parameter(try await matrix(blobs[position], of: shapes[0], inDouble: inDouble))
        case .tensor: return .none
        }
    }

    private func matrix(
        _ blob: BlobReference, of shape: SymmetricShape, inDouble: Bool
    ) async throws -> TaskFactor {
        guard inDouble else { return .single(try await input.factor(blob, of: shape)) }
        return .double(try await input.doubleFactor(blob, of: shape))
    }

    // MARK: - The result

    /// Encodes θ_0 + α Δ, each element rounded once: the weight's bytes, then the bias's; and says what rounding lost.
    private func encode(
        _ base: borrowing Matrix<Double>, _ delta: consuming Matrix<Double>, lossFrom known: consuming Matrix<Double>?
    ) throws -> (blobs: [BlobReference], losses: [RoundingLoss]) {
        var merged = delta
        var known = known
        var isFinite = true
        let startsAtBase = !operation.base.isEmpty
        merged.withMutableSpan { merged in
            base.withSpan { base in
                for index in merged.indices {
                    let change = operation.scale * merged[index]
                    // A sum with zero would lose the sign of a zero.
                    let value = !startsAtBase ? change : change == 0 ? base[index] : base[index] + change
                    merged[index] = value
                    isFinite = isFinite && value.isFinite
                }
            }
        }
        guard isFinite else {
            throw UnitError.nonFinite(
                "merge of \"\(input.lease.subject)\": the merged parameters are not finite; check the checkpoints for "
                    + "NaN or infinity\(operation.parameters.factors.isEmpty ? "" : ", or raise the damping").")
        }
        var parts = [0..<merged.columnCount]
        if case .block(.linear(_, let inputs, let hasBias, _)) = operation.parameters {
            parts = [0..<inputs] + (hasBias ? [inputs..<inputs + 1] : [])
        }
        var blobs: [BlobReference] = []
        var losses: [RoundingLoss] = []
        for (parameter, columns) in parts.enumerated() {
            blobs.append(try encode(merged, parameter, columns: columns))
            let type = operation.outputTypes[parameter]
            if let origin = known.take() {
                losses.append(try loss(merged, origin, columns, type))
                known = .some(origin)
            } else {
                losses.append(try startsAtBase ? loss(merged, base, columns, type) : RoundingLoss())
            }
        }
        return (blobs, losses)
    }

    /// What rounding some columns to a type loses; nothing is measured of types with many digits.
    private func loss(
        _ merged: borrowing Matrix<Double>, _ base: borrowing Matrix<Double>, _ columns: Range<Int>, _ type: ElementType
    ) throws -> RoundingLoss {
        var loss = RoundingLoss()
        guard type.isHalf else { return loss }
        let (rows, width) = (merged.rowCount, merged.columnCount)
        try merged.withSpan { merged throws in
            try base.withSpan { base throws in
                for row in 0..<rows {
                    let part = row * width + columns.lowerBound..<row * width + columns.upperBound
                    try loss.add(merged.extracting(part), base: base.extracting(part), roundedTo: type)
                }
            }
        }
        return loss
    }

    /// Whether the base stores a parameter as the transpose of the matrix's columns.
    private func isTransposed(_ parameter: Int) -> Bool {
        operation.base.indices.contains(parameter) && operation.base[parameter].layout == .inOut
    }

    /// Stores a parameter, which is some of the matrix's columns, in the base's order.
    private func encode(
        _ matrix: borrowing Matrix<Double>, _ parameter: Int, columns: Range<Int>
    ) throws -> BlobReference {
        let type = operation.outputTypes[parameter]
        let isTransposed = isTransposed(parameter)
        let bytes = try isTransposed ? transposed(matrix, columns, type) : rows(matrix, columns, type)
        if let overflow = overflow(bytes.span.bytes, of: matrix, columns, as: type, isTransposed: isTransposed) {
            throw UnitError.badInput("\(reader.descriptions[parameter]) of the merged checkpoint: \(overflow)")
        }
        return try input.blobs.store(bytes.span.bytes)
    }

    private func rows(_ matrix: borrowing Matrix<Double>, _ columns: Range<Int>, _ type: ElementType) throws -> [UInt8]
    {
        let rowBytes = columns.count * type.byteCount
        let (rows, width) = (matrix.rowCount, matrix.columnCount)
        var bytes = [UInt8](repeating: 0, count: rows * rowBytes)
        var span = bytes.mutableSpan
        var target = span.mutableBytes
        try matrix.withSpan { values throws in
            for row in 0..<rows {
                var part = target._mutatingExtracting(row * rowBytes..<(row + 1) * rowBytes)
                let start = row * width
                try type.encode(
                    values.extracting(start + columns.lowerBound..<start + columns.upperBound), into: &part)
            }
        }
        return bytes
    }

    private func transposed(
        _ matrix: borrowing Matrix<Double>, _ columns: Range<Int>, _ type: ElementType
    ) throws -> [UInt8] {
        let (rows, width) = (matrix.rowCount, matrix.columnCount)
        let rowBytes = rows * type.byteCount
        var bytes = [UInt8](repeating: 0, count: columns.count * rowBytes)
        var values = [Double](repeating: 0, count: min(StoredOrder.columnsAtOnce, columns.count) * rows)
        for first in stride(from: columns.lowerBound, to: columns.upperBound, by: StoredOrder.columnsAtOnce) {
            let part = first..<min(first + StoredOrder.columnsAtOnce, columns.upperBound)
            var stored = values.mutableSpan
            matrix.withSpan { StoredOrder.gather($0, columns: part, width: width, into: &stored) }
            var span = bytes.mutableSpan
            var target = span.mutableBytes
            let start = (first - columns.lowerBound) * rowBytes
            var piece = target._mutatingExtracting(start..<start + part.count * rowBytes)
            try type.encode(values.span.extracting(first: part.count * rows), into: &piece)
        }
        return bytes
    }

    /// The merged values that overflow their type.
    private func overflow(
        _ bytes: RawSpan, of matrix: borrowing Matrix<Double>, _ columns: Range<Int>, as type: ElementType,
        isTransposed: Bool
    ) -> RangeOverflow? {
        let positions = type.nonFinitePositions(in: bytes)
        guard let first = positions.first else { return nil }
        let (height, width) = (matrix.rowCount, matrix.columnCount)
        let magnitudes = matrix.withSpan { values in
            positions.map { position in
                let (line, place) = position.quotientAndRemainder(dividingBy: isTransposed ? height : columns.count)
                let (row, column) = isTransposed ? (place, line) : (line, place)
                return values[row * width + columns.lowerBound + column].magnitude
            }
        }
        return RangeOverflow(
            count: positions.count, firstIndex: first, magnitude: magnitudes.largest() ?? .nan, type: type)
    }
}

extension TaskArithmeticError {
    /// Whether the job's data or values are at fault, so that no other worker would do better.
    fileprivate var isBadInput: Bool {
        switch self {
        case .kroneckerFactors(let cause): cause.isBadInput
        case .weightsCancel, .directionsCancel, .weightNotFinite, .parameterMissing: true
        case .noTasks, .partialElement, .rangeExceedsCapacity, .unexpectedOperands, .linearAlgebra: false
        }
    }
}

extension MergeSolution {
    /// The numbers, under the report's names.
    var measurements: [MeasurementName: [Double]] {
        let numbers: [(MeasurementName, [Double])] = [
            (.rank, rank.map { [Double($0)] } ?? []), (.iterations, iterations.map { [Double($0)] } ?? []),
            (.residual, residual.map { [$0] } ?? []), (.covarianceDistances, covarianceDistances),
        ]
        return Dictionary(uniqueKeysWithValues: numbers.filter { !$1.isEmpty })
    }
}

extension MergedNorms {
    /// The norms, under the report's names.
    var measurements: [MeasurementName: [Double]] { [.mergedNorm: [merged], .meanNorm: [mean]] }
}
