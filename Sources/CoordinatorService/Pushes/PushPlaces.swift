import Identifiers
import PushedRuns
import ZeroMQ

/// The open pushes of a desk, and the decision whether another may begin.
///
/// Bounds: ``PushBounds/pushesMax`` open pushes, ``PushBounds/pushesPerClient`` of a client, and one of a connection.
struct PushPlaces<Content> {
    /// A push that is open.
    struct Push {
        let number: UInt64
        let at: RunPlace
        /// What the desk knows of it.
        let content: Content
        /// The client: a key, or a connection when there are no keys.
        let client: String
        /// The client in words.
        let sender: String
        var lastChunk: ContinuousClock.Instant
    }

    /// Why a push cannot begin.
    enum Obstacle: Equatable {
        /// All places are taken, or those of the client.
        case full(isClient: Bool)
        /// Another client pushes the same place of the run.
        case taken(by: String)
        /// Another connection of the same client pushed the place, or one that is silent: its push ends.
        case stale(RoutingIdentity)
    }

    /// The silence after which another client may take the place of a push.
    let staleness: Duration
    /// The silence after which a push ends, so that its place is free.
    let silence: Duration

    private(set) var pushes: [RoutingIdentity: Push] = [:]

    subscript(peer: RoutingIdentity) -> Push? { pushes[peer] }

    /// Why a part cannot be pushed now; nil when it can.
    func obstacle(
        to at: RunPlace, by client: String, at peer: RoutingIdentity, _ now: ContinuousClock.Instant
    ) -> Obstacle? {
        let others = pushes.filter { $0.key != peer }
        if let (other, push) = others.first(where: { $0.value.at == at }) {
            let isStale = push.client == client || now - push.lastChunk >= staleness
            return isStale ? .stale(other) : .taken(by: push.sender)
        }
        if others.count >= PushBounds.pushesMax { return .full(isClient: false) }
        if others.values.count(where: { $0.client == client }) >= PushBounds.pushesPerClient {
            return .full(isClient: true)
        }
        return nil
    }

    /// Takes a place.
    mutating func begin(_ push: Push, at peer: RoutingIdentity) { pushes[peer] = push }

    /// Notes a chunk.
    mutating func noteChunk(at peer: RoutingIdentity, _ now: ContinuousClock.Instant) {
        pushes[peer]?.lastChunk = now
    }

    /// Frees a place.
    mutating func end(at peer: RoutingIdentity) { pushes[peer] = nil }

    /// The connections whose pushes have been silent for too long.
    func silent(at now: ContinuousClock.Instant) -> [RoutingIdentity] {
        pushes.filter { now - $0.value.lastChunk >= silence }.map(\.key)
    }

    /// Whether a push of a run is open.
    func isOpen(_ run: RunName) -> Bool { pushes.values.contains { $0.at.run == run } }
}

/// The most pushes of a desk.
enum PushBounds {
    static let pushesMax = 32
    static let pushesPerClient = 16
}

extension PushPlaces.Obstacle {
    /// The sentence for the client that cannot begin; nil when the other push gives way.
    var sentence: String? {
        switch self {
        case .stale: nil
        case .taken(let other): "\(other) pushes it at the moment. Try again later."
        case .full(let isClient):
            "\(isClient ? PushBounds.pushesPerClient : PushBounds.pushesMax) pushes\(isClient ? " of this client" : "") "
                + "are open, which is the most. Try again later."
        }
    }
}
