import Messaging
import Supervision
import UnitOperations
import ZeroMQ

/// A worker's sums of rows that clients stream: each sum belongs to one of several lanes.
///
/// The orders about one sum stay in order. Orders wait in the queue of their lane.
/// Bound: the credit of the streams.
struct RowSums: Sendable {
    private let lanes: [RowLane]
    private let metrics: WorkerMetrics

    /// Prepares lanes without sums.
    ///
    /// - Parameters:
    ///   - lanes: The progress of each lane.
    ///   - backend: Computes the products of full sums.
    ///   - metrics: Counts rows and sums.
    ///   - tell: Sends a word; a word that cannot be sent is dropped, because then the sums are void too.
    init(
        lanes: [LaneProgress], backend: any FactorBackend, metrics: WorkerMetrics, tell: @escaping RowLane.Tell
    ) {
        self.lanes = lanes.map { RowLane(progress: $0, backend: backend, metrics: metrics, tell: tell) }
        self.metrics = metrics
    }

    /// Obeys until the words end, and then until all of them are obeyed; or until the task is cancelled.
    func run(_ words: AsyncStream<WorkerConnection.RowWord>) async {
        let queues = lanes.map { _ in AsyncStream.makeStream(of: RowWork.self) }
        await withTaskGroup(of: Void.self) { group in
            for (lane, queue) in zip(lanes, queues) {
                group.addTask {
                    for await work in queue.stream where !Task.isCancelled { await lane.perform(work) }
                }
            }
            var places = RowSumPlaces(laneCount: lanes.count)
            for await word in words {
                for (lane, work) in places.work(for: word) { queues[lane].continuation.yield(work) }
                metrics.noteRowSums(places.count)
            }
            for queue in queues { queue.continuation.finish() }
        }
    }
}
