import Identifiers
import KroneckerFactors
import Lanes
import Supervision
import UnitOperations
import WireProtocol
import ZeroMQ

/// What a lane is to do with its sums of rows.
enum RowWork: Sendable {
    /// Obey an order about a sum, unless the sum is void.
    case order(RowSumOrder, rows: Frame?, RowSumPlace)
    /// Forget sums.
    case forget([RowSumName])
}

/// One lane for sums of rows: it obeys one order after the other on a thread of its own, with one BLAS thread.
///
/// Sums take turns with one accumulator, so only the lane has scratch memory. A sum that failed is forgotten, and later
/// orders about it are ignored.
actor RowLane {
    /// Sends a word, and the bytes that belong to it.
    typealias Tell = @Sendable (RowSumWord, Frame?) async -> Void

    private let lane: Lane
    private let progress: LaneProgress
    private let backend: any FactorBackend
    private let metrics: WorkerMetrics
    private let tell: Tell
    private var sums: [RowSumName: RunningRowSum] = [:]
    /// Nothing before the first full sum, after a failure, and while there are no sums.
    private var accumulator: (any FactorAccumulator & ~Copyable)?

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(progress: LaneProgress, backend: any FactorBackend, metrics: WorkerMetrics, tell: @escaping Tell) {
        lane = Lane("kfacd.rows.\(progress.number)")
        self.progress = progress
        self.backend = backend
        self.metrics = metrics
        self.tell = tell
    }

    /// Does the work, and tells its result.
    func perform(_ work: RowWork) async {
        switch work {
        case .forget(let names):
            for name in names { sums[name] = nil }
            if sums.isEmpty { accumulator = nil }
        case .order(let order, let rows, let place):
            guard !place.isVoid, let (word, payload) = obey(order, rows, for: place.name) else { return }
            // A sum that became void meanwhile may have a namesake after the next greeting.
            guard !place.isVoid else { return }
            await tell(word, payload)
        }
    }

    /// Obeys an order; no error leaves it, because an error becomes a word.
    private func obey(_ order: RowSumOrder, _ rows: Frame?, for name: RowSumName) -> (RowSumWord, Frame?)? {
        var subject = sums[name]?.subject ?? ""
        do {
            switch order {
            case .begin(_, let shape, let ownSubject):
                subject = ownSubject
                guard sums[name] == nil else { throw MalformedRowSumOrder("the sum was begun before") }
                sums[name] = try RunningRowSum(shape, subject: subject)
                return nil
            case .add(_, let type):
                guard let sum = sums[name] else { return nil }
                guard let rows else { throw MalformedRowSumOrder("the message has no rows") }
                try compute(sum, byteCount: rows.byteCount) { accumulator, kernels throws in
                    try sum.add(rows, of: type, with: &accumulator, &kernels)
                }
                return (.taken(name), nil)
            case .finish:
                guard let sum = sums[name] else { return nil }
                try compute(sum, byteCount: 0) { accumulator, kernels throws in
                    try sum.finish(with: &accumulator, &kernels)
                    return 0
                }
                return nil
            case .send(_, let offset, let byteCount):
                guard let sum = sums[name] else { return nil }
                return (.bytes(name, offset: offset), try sum.bytes(at: offset, count: byteCount))
            case .end: return nil
            }
        } catch {
            sums[name] = nil
            if case KroneckerFactorsError.nonFinite = error { metrics.noteNonFinite() }
            return (.failed(name, UnitFailure(error, ofRowsFor: subject)), nil)
        }
    }

    /// Lends the lane's accumulator, and counts the rows that were added; a failure may leave the accumulator half
    /// filled, so it is then dropped.
    private func compute(
        _ sum: RunningRowSum, byteCount: Int,
        _ body: (inout any FactorAccumulator & ~Copyable, inout KernelNotes) throws -> Int
    ) throws {
        var kernels = KernelNotes()
        progress.begin("rows of \(sum.subject)", stageSeconds: sum.shape.chunkSeconds) {
            LaneProgress.Reading(steps: 0, isWaiting: false)
        }
        defer { progress.end() }
        var accumulator = try takeAccumulator(for: sum.shape)
        let count = try body(&accumulator, &kernels)
        if !sum.shape.isDiagonal { self.accumulator = .some(consume accumulator) }
        metrics.noteRows(count, byteCount: byteCount, kernels: kernels)
    }

    private func takeAccumulator(for shape: RowSumShape) throws -> any FactorAccumulator & ~Copyable {
        // The squares of a diagonal need no product, so no backend and no scratch.
        if shape.isDiagonal { return DiagonalFactorAccumulator() }
        guard let taken = accumulator.take() else { return try backend.makeAccumulator() }
        return taken
    }
}
