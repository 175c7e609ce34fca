public import Identifiers
import JobPlan
public import UnitOperations

/// A message of the coordinator to a worker.
public enum CoordinatorMessage: Equatable, Sendable {
    /// The answer to a greeting, with the times between two signs of life: the second while no unit is computed.
    case welcome(coordinator: String, heartbeatInterval: Duration, idleHeartbeatInterval: Duration)
    /// The coordinator does not know the worker, or has forgotten it: the worker greets again.
    case unknownWorker
    /// An order.
    case order(WorkerOrder<UnitLease>)
    /// An order about sums of rows; rows stand in the second frame.
    case rowSum(RowSumOrder)
    /// A chunk of a range, with its bytes in the second frame.
    case rangeChunk(transfer: UInt64, offset: UInt64)
    /// A range cannot be read.
    case rangeFailure(transfer: UInt64, message: String)
    /// The worker may send more chunks of an offered blob.
    case uploadCredit(transfer: UInt64, chunks: UInt32)
    /// An offered blob is stored, perhaps from earlier.
    case uploadStored(transfer: UInt64)
    /// An offered blob cannot be stored.
    case uploadFailure(transfer: UInt64, message: String)

    init(_ wire: WireCoordinatorMessage) throws(WireError) {
        switch wire.body {
        case .welcome(let welcome):
            self = .welcome(
                coordinator: welcome.coordinator,
                heartbeatInterval: .milliseconds(Int64(welcome.heartbeatMilliseconds)),
                idleHeartbeatInterval: .milliseconds(Int64(welcome.idleHeartbeatMilliseconds)))
        case .unknownWorker: self = .unknownWorker
        case .lease(let lease): self = .order(.lease(try UnitLease(lease)))
        case .revoke(let unit): self = .order(.revoke(try LeasedUnit(unit)))
        case .rangeChunk(let chunk): self = .rangeChunk(transfer: chunk.transfer, offset: chunk.offset)
        case .rangeFailure(let failure):
            self = .rangeFailure(transfer: failure.transfer, message: failure.message)
        case .uploadCredit(let credit): self = .uploadCredit(transfer: credit.transfer, chunks: credit.chunks)
        case .uploadStored(let stored): self = .uploadStored(transfer: stored.transfer)
        case .uploadFailure(let failure):
            self = .uploadFailure(transfer: failure.transfer, message: failure.message)
        case .collect(let blob): self = .order(.collect(try digest(blob)))
        case .discard(let discard): self = .order(.discard(try list(discard.digests, "the list of blobs", digest)))
        case .drain: self = .order(.drain)
        case .dismiss: self = .order(.dismiss)
        case .beginRowSum(let begin): self = .rowSum(try RowSumOrder(begin: begin))
        case .addRows(let rows):
            self = .rowSum(.add(try RowSumName(rows.sum), try word(rows.elementType, "an element type")))
        case .finishRowSum(let finish): self = .rowSum(.finish(try RowSumName(finish.sum)))
        case .sendRowSum(let send):
            self = .rowSum(
                .send(
                    try RowSumName(send.sum), offset: send.offset,
                    byteCount: try count(send.byteCount, "a number of bytes", most: WireLimits.chunkBytes)))
        case .endRowStream(let stream): self = .rowSum(.end(stream: stream))
        case nil: throw .malformed("a coordinator's message has no body")
        }
    }

    var wire: WireCoordinatorMessage {
        var wire = WireCoordinatorMessage()
        switch self {
        case .welcome(let coordinator, let interval, let idleInterval):
            wire.welcome.coordinator = coordinator
            wire.welcome.heartbeatMilliseconds = interval.milliseconds
            wire.welcome.idleHeartbeatMilliseconds = idleInterval.milliseconds
        case .unknownWorker: wire.unknownWorker = WireUnknownWorker()
        case .order(.lease(let lease)): wire.lease = lease.wire
        case .order(.revoke(let unit)): wire.revoke = unit.wire
        case .rangeChunk(let transfer, let offset):
            wire.rangeChunk.transfer = transfer
            wire.rangeChunk.offset = offset
        case .rangeFailure(let transfer, let message):
            wire.rangeFailure.transfer = transfer
            wire.rangeFailure.message = message
        case .uploadCredit(let transfer, let chunks):
            wire.uploadCredit.transfer = transfer
            wire.uploadCredit.chunks = chunks
        case .uploadStored(let transfer): wire.uploadStored.transfer = transfer
        case .uploadFailure(let transfer, let message):
            wire.uploadFailure.transfer = transfer
            wire.uploadFailure.message = message
        case .order(.collect(let blob)): wire.collect = blob.description
        case .order(.discard(let blobs)): wire.discard.digests = blobs.map(\.description)
        case .rowSum(let order): order.write(to: &wire)
        case .order(.drain): wire.drain = WireDrainWorker()
        case .order(.dismiss): wire.dismiss = WireDismissWorker()
        }
        return wire
    }
}

extension CoordinatorMessage {
    /// Whether the message may share a frame with others: an order about units and blobs.
    public var canBeJoined: Bool {
        switch self {
        case .order(.lease), .order(.revoke), .order(.collect), .order(.discard): true
        case .order(.drain), .order(.dismiss), .welcome, .unknownWorker, .rowSum, .rangeChunk, .rangeFailure,
            .uploadCredit, .uploadStored, .uploadFailure:
            false
        }
    }
}

extension Duration {
    fileprivate var milliseconds: UInt32 {
        UInt32(clamping: components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000)
    }
}
