import Identifiers
import Synchronization
import ZeroMQ

/// The names of a coordinator's peers; a router names connections, and a worker tells its name when it greets.
///
/// Bound: ``countMax`` connections. For a new one, the connection that greeted first is forgotten and counts as a
/// client.
final class PeerNames: Sendable {
    private struct State {
        var workers: [RoutingIdentity: WorkerID] = [:]
        var order: [RoutingIdentity] = []
    }

    static let countMax = 4096
    /// The name of all clients, because each of their connections is a new one.
    static let client = "client"

    private let state = Mutex(State())

    /// Notes which worker uses a connection.
    func note(_ worker: WorkerID, at peer: RoutingIdentity) {
        state.withLock { state in
            guard state.workers.updateValue(worker, forKey: peer) == nil else { return }
            state.order.append(peer)
            if state.order.count > Self.countMax { state.workers[state.order.removeFirst()] = nil }
        }
    }

    /// Whether a worker greeted by this connection.
    func isWorker(_ peer: RoutingIdentity) -> Bool {
        state.withLock { $0.workers[peer] } != nil
    }

    /// The name under which a peer's bytes are counted; a worker's name outlives its process.
    func countedName(of peer: RoutingIdentity) -> String {
        state.withLock { $0.workers[peer] }?.lastingName ?? Self.client
    }

    /// The peer's name in the log.
    func name(of peer: RoutingIdentity) -> String {
        state.withLock { $0.workers[peer] }?.rawValue ?? "\(Self.client) \(peer)"
    }
}
