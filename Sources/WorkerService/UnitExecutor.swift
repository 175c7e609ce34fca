import Identifiers
import KroneckerFactors
import Lanes
import LinearAlgebra
import Supervision
import UnitOperations
import WireProtocol

/// One lane of a worker: it computes one unit after the other on a thread of its own, with one BLAS thread.
///
/// No error of a computation leaves ``execute(_:)``: it becomes a ``UnitOutcome``.
actor UnitExecutor {
    /// The lane's progress, for the health check.
    nonisolated let progress: LaneProgress
    private let lane: Lane
    private let metrics: WorkerMetrics
    private let backend: any FactorBackend
    /// The memory that the worker offers to a unit.
    private let memoryBytes: UInt64
    /// Nothing before the first unit, while a unit computes, and after one that failed.
    private var scratch: LaneScratch?

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(
        number: Int, progress: LaneProgress, metrics: WorkerMetrics, backend: any FactorBackend, memoryBytes: UInt64
    ) {
        self.progress = progress
        self.memoryBytes = memoryBytes
        self.metrics = metrics
        lane = Lane("kfacd.lane.\(number)")
        self.backend = backend
    }

    /// Runs a body on the lane.
    func run(_ body: @Sendable (isolated UnitExecutor) async -> Void) async { await body(self) }

    /// Computes a unit; its blobs are in the cache, pinned, on return.
    ///
    /// - Parameter input: The unit and the place of its inputs.
    /// - Returns: The unit's outcome, the notes of its numeric kernels (a unit that failed has none), and the total
    ///   time.
    func execute(
        _ input: InputReader
    ) async -> (outcome: UnitOutcome, kernels: KernelNotes, elapsed: Duration) {
        let start = ContinuousClock.now
        var kernels = KernelNotes()
        let outcome: UnitOutcome
        do {
            try requireMemory(for: input.lease)
            // Memory that a failed unit left half filled is not kept for the next one.
            var scratch = try takeScratch()
            var result = try await Self.compute(input, &scratch)
            result.placed = input.blobs.place(result)
            outcome = .computed(result)
            kernels = scratch.kernels
            self.scratch = consume scratch
        } catch {
            // Damaged bytes look like bad numbers, so the inputs are checked first.
            let cause: any Error = Self.mayBeOfDamage(error) ? input.blobs.lossBehind(error) ?? error : error
            if case UnitError.nonFinite = cause { metrics.noteNonFinite() }
            outcome = Self.outcome(of: cause, input.lease)
        }
        return (outcome, kernels, ContinuousClock.now - start)
    }

    /// Whether damaged inputs may have caused an error.
    private static func mayBeOfDamage(_ error: any Error) -> Bool {
        if Task.isCancelled || error is CancellationError { return false }
        return switch error {
        case BlobCacheError.noSpace, BlobCacheError.tooLarge: false
        default: true
        }
    }

    /// Sorts an error by what may help.
    private static func outcome(of error: any Error, _ lease: UnitLease) -> UnitOutcome {
        // The errors of a cancelled unit do not matter.
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

    /// Refuses a unit that needs more memory than the worker offers, before anything is allocated.
    ///
    /// The scheduler gives no such unit away. A lease says itself how large the factors of its updates are, though, and
    /// a wrong one would end the worker.
    private func requireMemory(for lease: UnitLease) throws {
        let needed = lease.operation.cost.memoryBytes
        guard needed > memoryBytes else { return }
        throw UnitError.malformedLease(
            "\"\(lease.subject)\" needs \(needed >> 20) MiB of memory; this worker offers \(memoryBytes >> 20) MiB")
    }

    /// The scratch that the last unit left, without its notes, or an empty one.
    private func takeScratch() throws -> LaneScratch {
        guard var scratch = scratch.take() else { return try LaneScratch(backend) }
        scratch.kernels = KernelNotes()
        return scratch
    }

    private static func compute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        guard let operation = input.lease.operation as? any ExecutableOperation else {
            throw UnexecutableOperations(kinds: [input.lease.operation.kind])
        }
        if !type(of: operation).reusesScratch { try scratch.release() }
        return try await operation.execute(input, &scratch)
    }
}
