import Keys
import Synchronization
import WireProtocol
import ZeroMQ

/// Who may say what: decides message by message, so that a key that is removed has no rights from the next one on.
final class PeerAccess: Sendable {
    private let keys: AuthorizedKeys
    private let claims: Mutex<IdentityClaims>

    /// Decides by a set of keys.
    ///
    /// - Parameters:
    ///   - keys: Who may connect, as it is at each moment.
    ///   - claimPeriod: How long a name stays its holder's after the last message.
    init(keys: AuthorizedKeys, claimPeriod: Duration) {
        self.keys = keys
        claims = Mutex(IdentityClaims(period: claimPeriod))
    }

    /// What forbids to take a message in.
    ///
    /// - Parameters:
    ///   - message: What was said.
    ///   - peer: The name under which it was said.
    ///   - user: The key that the peer proved to hold.
    /// - Returns: `where` and `what`, for the person at the other end; `nil` when nothing forbids it.
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

    /// The key of a connection, as far as it is known.
    func holder(of peer: RoutingIdentity) -> String? {
        claims.withLock { $0.owner(of: .connection(peer)) }?.description
    }

    /// What a message does, and the role that it takes.
    private static func need(of message: WireMessage) -> (action: String, role: Role)? {
        switch message {
        case .worker: ("working", .worker)
        case .request(_, let request):
            switch request {
            case .submit: ("submitting", .submitter)
            case .cancel: ("cancelling", .submitter)
            case .drain: ("draining", .submitter)
            case .plan, .jobs, .status, .workers, .outputs, .outputRange, .log: ("asking", .reader)
            }
        case .refusal, .coordinator, .reply: nil
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
