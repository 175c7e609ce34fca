import Keys
import Synchronization
import WireProtocol
import ZeroMQ

/// Decides which peer may send which message.
///
/// Each message is checked, so a removed key has no rights from the next message on.
final class PeerAccess: Sendable {
    private let keys: AuthorizedKeys
    private let claims: Mutex<IdentityClaims>

    /// Makes the decision by a set of keys.
    ///
    /// - Parameters:
    ///   - keys: The keys that may connect, kept up to date by their owner.
    ///   - claimPeriod: How long a peer keeps its name after its last message.
    init(keys: AuthorizedKeys, claimPeriod: Duration) {
        self.keys = keys
        claims = Mutex(IdentityClaims(period: claimPeriod))
    }

    /// Why a message must not be accepted.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - peer: The connection by which it came.
    ///   - user: The key that the peer proved to hold.
    /// - Returns: `where` and `what` for the person at the other end; `nil` when the message is allowed.
    func objection(to message: WireMessage, from peer: RoutingIdentity, user: String?) -> (at: String, what: String)? {
        guard let user, let key = keys[user] else {
            return (
                "this key",
                "it is not authorized (any more); its public file is missing in \(keys.directory) of the coordinator."
            )
        }
        if let (action, role) = Self.need(of: message), !key.isAllowed(role) {
            let roles = key.roles.sorted().map(\.rawValue).joined(separator: ", ")
            return (
                "the key \"\(key.name)\"",
                "it has the role\(key.roles.count > 1 ? "s" : "") \(roles); \(action) needs \(role.rawValue): add the "
                    + "line \"role \(role.rawValue)\" to \(key.file) of the coordinator and reload it."
            )
        }
        return claimObjection(to: message, from: peer, key)
    }

    /// The key of a connection, if it is known.
    func holder(of peer: RoutingIdentity) -> String? {
        claims.withLock { $0.owner(of: .connection(peer)) }?.description
    }

    /// The name of a connection's key, if it is known and still authorized.
    func holderName(of peer: RoutingIdentity) -> String? {
        holder(of: peer).flatMap { keys[$0]?.name }
    }

    /// The action of a message, and the role that it needs.
    private static func need(of message: WireMessage) -> (action: String, role: Role)? {
        switch message {
        case .worker, .workerSequence: ("working", .worker)
        case .request(_, let request):
            switch request {
            case .submit: ("submitting", .submitter)
            case .cancel: ("cancelling", .submitter)
            case .drain: ("draining", .submitter)
            case .pushOffer, .pushChunk, .pushRows, .pushCommit: ("pushing", .submitter)
            case .removeRun: ("removing a run", .submitter)
            case .plan, .jobs, .status, .workers, .outputs, .outputRange, .log, .runs: ("asking", .reader)
            }
        case .refusal, .coordinator, .coordinatorSequence, .reply: nil
        }
    }

    private func claimObjection(
        to message: WireMessage, from peer: RoutingIdentity, _ key: AuthorizedKey
    ) -> (at: String, what: String)? {
        var names = [IdentityClaims.Name.connection(peer)]
        if case .worker(.hello(let hello)) = message { names.append(.worker(hello.worker)) }
        let isTaken = claims.withLock { claims in
            for name in names where !claims.take(name, for: key.publicKey, at: .now) { return true }
            return false
        }
        guard isTaken else { return nil }
        return (
            "the key \"\(key.name)\"",
            "the name that it uses belongs to a peer with another key, which is connected. Give the worker another "
                + "--name, or wait until the other one is gone."
        )
    }
}
