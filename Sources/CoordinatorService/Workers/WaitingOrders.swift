import Identifiers
import OrderedCollections
import Scheduling
import UnitOperations
import WireProtocol
import ZeroMQ

/// Small orders that wait until the effects of all pending events are known, and then share a message for each worker.
///
/// Bound: ``countMax`` for each worker.
struct WaitingOrders {
    private static let countMax = 64
    private var orders: OrderedDictionary<RoutingIdentity, [WorkerOrder<UnitLease>]> = [:]

    /// Adds an order behind the earlier ones.
    ///
    /// - Returns: The worker's orders, when they must be sent before others are added.
    mutating func add(_ order: WorkerOrder<UnitLease>, to peer: RoutingIdentity) -> [WorkerOrder<UnitLease>]? {
        orders[peer, default: []].append(order)
        guard let all = orders[peer], all.count >= Self.countMax else { return nil }
        orders[peer] = nil
        return all
    }

    /// Removes the orders of all workers, which share a message each.
    mutating func take() -> [(peer: RoutingIdentity, orders: [WorkerOrder<UnitLease>])] {
        defer { orders.removeAll() }
        return orders.map { ($0.key, $0.value) }
    }
}

extension UnitLease {
    /// The most pieces, blobs and numbers of a lease that shares a message.
    private static let joinedItemsMax = 64
    /// The most bytes of its texts; so many of all leases of a message stay below the protocol's limits.
    private static let joinedTextBytesMax = 2048

    /// Whether the lease is so small that a message of many is never too large.
    var sharesMessage: Bool {
        let numbers = inputs.numbers.reduce(0) { $0 + $1.count }
        let count = operation.slices.count + inputs.blobs.count + numbers + places.count
        let paths = files.values.reduce(0) { $0 + $1.path.utf8.count }
        return isBrief && count <= Self.joinedItemsMax
            && title.utf8.count + subject.utf8.count + paths <= Self.joinedTextBytesMax
    }
}

extension SchedulerEffect {
    /// Whether orders that wait may be sent after it.
    var canPassOrders: Bool {
        switch self {
        case .tell, .send, .compute: true
        case .forget, .tellUnavailable, .letGo, .remove, .clearStore, .settle, .accept: false
        }
    }
}
