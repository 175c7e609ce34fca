import FileAccess
import Glibc
import Hummingbird
import HummingbirdCore
public import Logging
internal import NIOCore
public import ServiceLifecycle
import SystemPackage

/// Serves health, readiness, version, metrics and a page for people over HTTP.
///
/// The pages change nothing and show no file content, but they show names of jobs, files and workers. So an address
/// other than loopback is only for a trusted network.
/// Bound: ``connectionsMax`` connections at once. A connection without a request is ended, so that silent ones do not
/// keep others out.
public struct StatusServer: Service {
    /// The most connections at once; more wait in the kernel's queue.
    public static let connectionsMax = 32

    private let address: StatusAddress
    private let source: StatusSource
    private let idleTimeout: Duration
    private let logger: Logger
    private let onListening: @Sendable (StatusAddress) -> Void

    /// Prepares the server.
    ///
    /// - Parameters:
    ///   - address: The address to listen at.
    ///   - source: The content of the pages.
    ///   - idleTimeout: How long a connection may be without a complete request.
    ///   - logger: For errors.
    ///   - onListening: Called once the server listens, with the port that the kernel chose.
    public init(
        address: StatusAddress, source: StatusSource, idleTimeout: Duration = .seconds(15), logger: Logger,
        onListening: @escaping @Sendable (StatusAddress) -> Void
    ) {
        self.address = address
        self.source = source
        self.idleTimeout = idleTimeout
        self.logger = logger
        self.onListening = onListening
    }

    /// Serves until the process must end.
    ///
    /// - Throws: ``StatusServerError/addressTaken(_:)`` or ``StatusServerError/cannotListen(address:cause:)``.
    public func run() async throws {
        // The server's own lines ("Server started…") are not the daemon's.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let address = address
        let onListening = onListening
        let application = Application(
            router: StatusPages.router(source),
            server: .http1(configuration: HTTP1Channel.Configuration(idleTimeout: TimeAmount(idleTimeout))),
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: address.port), serverName: "kfacd",
                availableConnectionsDelegate: MaximumAvailableConnections(Self.connectionsMax)),
            onServerRunning: { channel in
                onListening(
                    StatusAddress(host: address.host, port: channel.localAddress?.port ?? address.port))
            },
            logger: quiet)
        do {
            try await application.run()
        } catch let error as IOError {
            if error.errnoCode == EADDRINUSE { throw StatusServerError.addressTaken("\(address)") }
            throw StatusServerError.cannotListen(address: "\(address)", cause: Self.cause(error))
        }
    }

    /// The system's error, and what helps.
    private static func cause(_ error: IOError) -> String {
        switch error.errnoCode {
        case EACCES, EPERM:
            "ports below 1024 need a right that this user does not have (CAP_NET_BIND_SERVICE). Choose one from 1024 on "
                + "with --http"
        case EADDRNOTAVAIL: "this machine has no such address. Choose another with --http"
        case let code: SystemWords.text(of: Errno(rawValue: code))
        }
    }
}
