import Identifiers
import WireProtocol
import ZeroMQ

/// The requests of workers that wait for blobs, which are being collected from other workers.
///
/// Bound: ``TransferService/transfersPerPeer`` requests of each worker.
struct WaitingRanges {
    /// A request, with the peer that waits for its bytes.
    struct Waiter: Equatable {
        let range: RangeRequest
        let peer: RoutingIdentity
    }

    private var waiters: [BlobDigest: [Waiter]] = [:]

    /// All waiting requests, in no particular order.
    var all: [Waiter] { waiters.values.flatMap { $0 } }

    /// Adds a request that waits for a blob.
    ///
    /// - Returns: Whether there was room for it.
    mutating func add(_ range: RangeRequest, for blob: BlobDigest, from peer: RoutingIdentity) -> Bool {
        let count = waiters.values.reduce(0) { $0 + $1.count { $0.peer == peer } }
        guard count < TransferService.transfersPerPeer else { return false }
        waiters[blob, default: []].append(Waiter(range: range, peer: peer))
        return true
    }

    /// Removes and returns the requests for a blob that has arrived, or that no worker has.
    mutating func take(_ blob: BlobDigest) -> [Waiter] { waiters.removeValue(forKey: blob) ?? [] }

    /// Removes the requests of a worker that is gone.
    mutating func forget(_ peer: RoutingIdentity) { remove { $0.peer == peer } }

    /// Removes a request that its worker no longer wants.
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
