import Identifiers
import JobPlan
import KroneckerFactors
import Lanes
import LinearAlgebra
import Supervision
import WireProtocol

/// One lane of a worker: computes one unit after the other on a thread of its own, with one BLAS thread.
///
/// Nothing thrown by a computation passes beyond ``execute(_:)``: it becomes a ``UnitOutcome``.
actor UnitExecutor {
    /// How far the lane has come, for whoever watches it.
    nonisolated let progress: LaneProgress
    private let lane: Lane
    private let metrics: WorkerMetrics
    private var scratch: LaneScratch

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(number: Int, progress: LaneProgress, metrics: WorkerMetrics) throws {
        self.progress = progress
        self.metrics = metrics
        lane = Lane("kfacd.lane.\(number)")
        scratch = try LaneScratch()
    }

    /// Computes a unit; its blobs are in the cache, pinned, when it returns.
    ///
    /// - Parameter input: The unit and where its inputs lie.
    /// - Returns: What became of it, what its numeric kernels took and met, and the time in all.
    func execute(_ input: InputReader) async -> (outcome: UnitOutcome, kernels: KernelNotes, elapsed: Duration) {
        let start = ContinuousClock.now
        var scratch = take()
        scratch.kernels = KernelNotes()
        let outcome: UnitOutcome
        do {
            outcome = .computed(try await Self.compute(input.lease.operation, input, &scratch))
        } catch {
            // Damaged bytes look like bad numbers.
            let cause: any Error = Self.mayBeOfDamage(error) ? input.blobs.lossBehind(error) ?? error : error
            if case UnitError.nonFinite = cause { metrics.noteNonFinite() }
            outcome = Self.outcome(of: cause, input.lease)
            // What a unit left behind half done is not kept for the next.
            try? scratch.release()
        }
        let kernels = scratch.kernels
        self.scratch = scratch
        return (outcome, kernels, ContinuousClock.now - start)
    }

    /// Whether an error may come of inputs that are not what their names say.
    private static func mayBeOfDamage(_ error: any Error) -> Bool {
        if Task.isCancelled || error is CancellationError { return false }
        if case BlobCacheError.noSpace = error { return false }
        return true
    }

    /// Sorts an error by what may help.
    private static func outcome(of error: any Error, _ lease: UnitLease) -> UnitOutcome {
        // Whatever a cancelled unit met on its way out, nobody wants to know.
        if Task.isCancelled || error is CancellationError { return .cancelled }
        switch error {
        case UnitError.badInput(let message), UnitError.nonFinite(let message):
            return .failed(UnitFailure(kind: .badInput, message: message))
        case UnitError.inputMissing(let message):
            return .failed(UnitFailure(kind: .inputMissing, message: "\(lease.title): \(message)"))
        case let error as KroneckerFactorsError where error.isBadInput:
            return .failed(UnitFailure(kind: .badInput, message: "\(lease.title): \(error)"))
        case BlobCacheError.noSpace: return .failed(UnitFailure(kind: .noSpace, message: "\(lease.title): \(error)"))
        default: return .failed(UnitFailure(kind: .world, message: "\(lease.title): \(error)"))
        }
    }

    /// The lane's scratch; while a unit computes, an empty one stands in its place.
    private func take() -> LaneScratch {
        do {
            var taken = try LaneScratch()
            swap(&taken, &scratch)
            return taken
        } catch {
            fatalError("a few bytes of memory are not to be had: \(error)")
        }
    }

    private static func compute(
        _ operation: WorkerOperation<LeasedBlob>, _ input: InputReader, _ scratch: inout LaneScratch
    ) async throws -> UnitResult {
        if case .factor(let operation) = operation {
            return try await FactorExecution(operation: operation, input: input).run(&scratch)
        }
        try scratch.release()
        switch operation {
        case .factor: preconditionFailure("a factor's unit was passed on to other operations")
        case .importFactor(let operation):
            return try await ImportExecution(operation: operation, input: input).run(&scratch)
        case .combine(let operation): return try await CombineExecution(operation: operation, input: input).run()
        case .accumulate(let operation):
            return try await AccumulateExecution(operation: operation, input: input).run()
        case .accumulateOptimal(let operation):
            return try await OptimalAccumulateExecution(operation: operation, input: input).run()
        case .invert(let operation):
            return try await InvertExecution(operation: operation, input: input).run(&scratch)
        case .penalty(let operation):
            return try await PenaltyExecution(operation: operation, input: input).run(&scratch)
        case .mergeBlock(let operation):
            return try await MergeBlockExecution(operation: operation, input: input).run(&scratch)
        }
    }
}
