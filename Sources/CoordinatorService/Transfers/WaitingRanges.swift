import Identifiers
import WireProtocol
import ZeroMQ

/// Requests of workers for blobs that are being collected from other workers.
///
/// Bound: ``TransferService/transfersPerPeer`` of each worker.
struct WaitingRanges {
    /// A request, and who waits for its bytes.
    struct Waiter: Equatable {
        let range: RangeRequest
        let peer: RoutingIdentity
    }

    private var waiters: [BlobDigest: [Waiter]] = [:]

    /// All that wait, in no particular order.
    var all: [Waiter] { waiters.values.flatMap { $0 } }

    /// Lets a request wait for a blob.
    ///
    /// - Returns: Whether there was room for it.
    mutating func add(_ range: RangeRequest, for blob: BlobDigest, from peer: RoutingIdentity) -> Bool {
        let count = waiters.values.reduce(0) { $0 + $1.count { $0.peer == peer } }
        guard count < TransferService.transfersPerPeer else { return false }
        waiters[blob, default: []].append(Waiter(range: range, peer: peer))
        return true
    }

    /// Gives up the requests for a blob that has come, or that nobody has.
    mutating func take(_ blob: BlobDigest) -> [Waiter] { waiters.removeValue(forKey: blob) ?? [] }

    /// Forgets what a worker waits for, when it is gone.
    mutating func forget(_ peer: RoutingIdentity) { remove { $0.peer == peer } }

    /// Forgets a request whose bytes its worker does not want any more.
    mutating func forget(_ transfer: UInt64, of peer: RoutingIdentity) {
        remove { $0.peer == peer && $0.range.transfer == transfer }
    }

    private mutating func remove(where isForgotten: (Waiter) -> Bool) {
        for blob in waiters.keys {
            waiters[blob]?.removeAll(where: isForgotten)
            if waiters[blob]?.isEmpty == true { waiters[blob] = nil }
        }
    }
}
