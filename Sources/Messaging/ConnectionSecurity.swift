import Identifiers
import Keys
public import ZeroMQ

extension SocketOptions {
    /// Encrypts a router's connections and lets in authorized keys only.
    ///
    /// - Parameters:
    ///   - keys: The coordinator's pair, and who may connect.
    ///   - context: The process's context.
    ///   - onUnknownKey: Told of every key that was refused; it must not block.
    /// - Returns: What lets keys in, once it runs.
    /// - Throws: `ZeroMQError` when the context has an authenticator already.
    mutating func protect(
        with keys: CoordinatorKeys, context: Context, onUnknownKey: @escaping @Sendable (CurvePublicKey) -> Void
    ) async throws(ZeroMQError) -> CurveAuthenticator {
        let authorized = keys.authorized
        let authenticator = try await CurveAuthenticator(context: context) { key in
            if authorized.contains(key) { return true }
            onUnknownKey(key)
            return false
        }
        curve = .server(keys.pair, authenticator: authenticator)
        return authenticator
    }
}

extension RoutingIdentity {
    /// Stands between a worker's name and what makes the identity a secret.
    private static let separator = "~"

    /// A name that nobody else can claim, since nobody else can guess it.
    ///
    /// A router gives a connection that claims a name whatever is sent to that name: the name of a worker, which
    /// others see, must not be enough.
    static func unguessable(for name: String) -> RoutingIdentity? {
        let secret = (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 16) }.joined()
        return try? RoutingIdentity(name + separator + secret)
    }

    /// The name without what makes it a secret, for records and logs.
    public var name: String {
        String(description.split(separator: Self.separator, omittingEmptySubsequences: false)[0])
    }

    /// What the peer's bytes are counted as: a worker by the name that outlives its process, all clients together,
    /// since each connection of theirs is another.
    var countedName: String { bytes.first == 0 ? Self.client : WorkerID(rawValue: name).lastingName }

    /// The name of all clients.
    static let client = "client"
}
