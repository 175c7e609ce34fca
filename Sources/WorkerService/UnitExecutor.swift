import JobPlan
import KroneckerFactors
import Lanes
import LinearAlgebra
import Messaging
import WireProtocol

/// One lane of a worker: computes one unit after the other on a thread of its own, with one BLAS thread.
///
/// Nothing thrown by a computation passes beyond ``execute(_:)``: it becomes a ``UnitOutcome``.
actor UnitExecutor {
    private let lane: Lane
    private let visible: VisibleFiles
    private let connection: WorkerConnection
    private var scratch: LaneScratch

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(number: Int, visible: VisibleFiles, connection: WorkerConnection) throws {
        lane = Lane("kfacd.lane.\(number)")
        self.visible = visible
        self.connection = connection
        scratch = try LaneScratch()
    }

    /// Computes a unit.
    ///
    /// - Returns: What became of it, the time in numeric kernels, and the time in all.
    func execute(_ lease: UnitLease) async -> (outcome: UnitOutcome, kernels: Duration, elapsed: Duration) {
        let start = ContinuousClock.now
        let input = InputReader(lease: lease, visible: visible, connection: connection)
        var scratch = take()
        scratch.kernelTime = .zero
        let outcome: UnitOutcome
        do {
            outcome = .computed(try await Self.compute(lease.operation, input, &scratch))
        } catch let error as UnitError {
            if case .badInput(let message) = error {
                outcome = .badInput(message)
            } else {
                outcome = .failed("\(lease.title): \(error)")
            }
        } catch {
            outcome = .failed("\(lease.title): \(error)")
        }
        let kernels = scratch.kernelTime
        self.scratch = scratch
        return (outcome, kernels, ContinuousClock.now - start)
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
    ) async throws -> UnitOutcome.UnitOutput {
        switch operation {
        case .factor(let operation):
            return try await FactorExecution(operation: operation, input: input).run(&scratch)
        case .invert(let operation):
            try scratch.release()
            return try await InvertExecution(operation: operation, input: input).run(&scratch)
        case .penalty(let operation):
            try scratch.release()
            return try await PenaltyExecution(operation: operation, input: input).run(&scratch)
        case .mergeBlock(let operation):
            try scratch.release()
            return try await MergeBlockExecution(operation: operation, input: input).run(&scratch)
        }
    }
}
