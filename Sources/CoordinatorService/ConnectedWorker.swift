import Supervision
import WireProtocol
import ZeroMQ

/// A worker that greeted.
struct ConnectedWorker {
    let identity: RoutingIdentity
    let hello: WorkerHello
    var finishedUnits = 0
    /// The units that it finished in the last minutes.
    var rate = MinuteCounts(minutes: Coordinator.rateMinutes)
    /// The blobs that it reported and has not withdrawn.
    var toldBlobs = 0
    var lastSign = ContinuousClock.now - .seconds(1)
    /// The number of refused messages of this connection.
    var refusedWords = 0
}
