import Identifiers
import Synchronization
import ZeroMQ

/// What the peers of a coordinator are called: a router names connections, and a worker says its name when it greets.
///
/// Bound: ``countMax`` connections; the one that greeted first is forgotten for a new one, and is then a client.
final class PeerNames: Sendable {
    private struct State {
        var workers: [RoutingIdentity: WorkerID] = [:]
        var order: [RoutingIdentity] = []
    }

    static let countMax = 4096
    /// The name of all clients, since each connection of theirs is another.
    static let client = "client"

    private let state = Mutex(State())

    /// Notes the worker at a connection.
    func note(_ worker: WorkerID, at peer: RoutingIdentity) {
        state.withLock { state in
            guard state.workers.updateValue(worker, forKey: peer) == nil else { return }
            state.order.append(peer)
            if state.order.count > Self.countMax { state.workers[state.order.removeFirst()] = nil }
        }
    }

    /// Whether a connection greeted as a worker.
    func isWorker(_ peer: RoutingIdentity) -> Bool {
        state.withLock { $0.workers[peer] } != nil
    }

    /// What a peer's bytes are counted as: a worker by the name that outlives its process.
    func countedName(of peer: RoutingIdentity) -> String {
        state.withLock { $0.workers[peer] }?.lastingName ?? Self.client
    }

    /// What the log calls a peer.
    func name(of peer: RoutingIdentity) -> String {
        state.withLock { $0.workers[peer] }?.rawValue ?? "\(Self.client) \(peer)"
    }
}
