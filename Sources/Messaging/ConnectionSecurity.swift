import Keys
import ZeroMQ

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
