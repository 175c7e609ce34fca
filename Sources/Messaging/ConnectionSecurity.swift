import Keys
import ZeroMQ

extension SocketOptions {
    /// Encrypts a router's connections and accepts authorized keys only.
    ///
    /// - Parameters:
    ///   - keys: The coordinator's key pair and the authorized keys.
    ///   - context: The process's context.
    ///   - onUnknownKey: Receives every refused key. It must not block.
    /// - Returns: The authenticator. It must run before any key is accepted.
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
