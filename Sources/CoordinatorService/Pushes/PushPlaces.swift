import Identifiers
import PushedRuns
import ZeroMQ

/// The open pushes, and the decision whether another may begin.
///
/// Bounds: ``pushesMax`` open pushes, ``pushesPerClient`` of a client, and one of a connection.
struct PushPlaces {
    /// A push that is open.
    struct Push {
        let number: UInt64
        let incoming: IncomingPart
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

    static let pushesMax = 32
    static let pushesPerClient = 16
    /// The silence after which another client may go on with a push.
    static let staleness: Duration = .seconds(2)
    /// The silence after which a push ends, so that its place is free.
    static let silence: Duration = .seconds(60)

    private(set) var pushes: [RoutingIdentity: Push] = [:]

    subscript(peer: RoutingIdentity) -> Push? { pushes[peer] }

    /// Why a part cannot be pushed now; nil when it can.
    func obstacle(
        to part: PushedPart, by client: String, at peer: RoutingIdentity, _ now: ContinuousClock.Instant
    ) -> Obstacle? {
        let others = pushes.filter { $0.key != peer }
        let same = others.first {
            $0.value.incoming.part.run == part.run && $0.value.incoming.part.place == part.place
        }
        if let (other, push) = same {
            let isStale = push.client == client || now - push.lastChunk >= Self.staleness
            return isStale ? .stale(other) : .taken(by: push.sender)
        }
        if others.count >= Self.pushesMax { return .full(isClient: false) }
        if others.values.count(where: { $0.client == client }) >= Self.pushesPerClient { return .full(isClient: true) }
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
        pushes.filter { now - $0.value.lastChunk >= Self.silence }.map(\.key)
    }

    /// Whether a push of a run is open.
    func isOpen(_ run: RunName) -> Bool { pushes.values.contains { $0.incoming.part.run == run } }
}
