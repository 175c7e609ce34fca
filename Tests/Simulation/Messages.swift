import Identifiers
import JobPlan
import OrderedCollections
import Scheduling
import UnitOperations

/// What a worker tells the coordinator.
enum UpwardMessage {
    case hello(connection: Int, WorkerCapacity)
    case heartbeat([UnitSteps])
    case started(LeasedUnit)
    case finished(LeasedUnit, UnitResult, seconds: Double)
    case failed(LeasedUnit, UnitFailure)
    case held([BlobReference])
    case dropped([BlobDigest])
    case collectFailure(BlobDigest)
    /// A collected blob's bytes.
    case upload(BlobReference, isDamaged: Bool)
    /// It wants a blob's bytes.
    case want(BlobDigest)
    case draining
    case goodbye
}

/// What the coordinator tells a worker.
enum DownwardMessage {
    case welcome
    case unknownWorker
    case lease(SimulatedWorker.Lease)
    case revoke(LeasedUnit)
    case collect(BlobDigest)
    case drain
    case dismiss
    /// A wanted blob's bytes.
    case bytes(BlobReference)
    case unavailable(BlobDigest)
    case discard(BlobDigest)
}

/// What happens at an instant of virtual time.
enum Action {
    case arriveAtCoordinator(UpwardMessage, from: WorkerID)
    case arriveAtWorker(DownwardMessage, WorkerID)
    /// A worker's clock strikes: it gives a sign of life.
    case beat(Int)
    /// A worker's lanes look for something to do.
    case work(Int)
    /// A worker has computed a unit.
    case computed(Int, token: Int)
    /// The coordinator takes in what has come.
    case turn(life: Int)
    /// The coordinator's facts reach the disk, or do not.
    case commit(life: Int)
    case deadline(life: Int)
    /// A lane of the coordinator's is done.
    case ownWork(LeasedUnit, life: Int)
    case startCoordinator
    case startWorker(store: OrderedDictionary<BlobDigest, SimulatedWorker.Blob>)
    case submit(Int)
    case fault
    case calm
}
