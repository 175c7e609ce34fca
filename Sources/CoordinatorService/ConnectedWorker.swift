import Supervision
import WireProtocol
import ZeroMQ

/// A worker that greeted.
struct ConnectedWorker {
    let identity: RoutingIdentity
    let hello: WorkerHello
    var finishedUnits = 0
    /// Units that it finished in the last minutes.
    var rate = MinuteCounts(minutes: Coordinator.rateMinutes)
    /// Blobs that it told of, without those that it took back.
    var toldBlobs = 0
    var lastSign = ContinuousClock.now - .seconds(1)
    /// Words of this connection that could not be right.
    var refusedWords = 0
}
