import FileAccess
import Glibc
import MicroHTTPD
public import ServiceLifecycle
import SystemPackage

/// Serves health, readiness, version, metrics and a page for people over HTTP.
///
/// The pages change nothing and show no file content, but they show names of jobs, files and workers. So an address
/// other than loopback is only for a trusted network.
/// Bound: ``connectionsMax`` connections at once. A connection that is silent, or whose request takes too long, is
/// ended, so that it does not keep others out.
public struct StatusServer: Service {
    /// The most connections at once; more wait in the kernel's queue.
    public static let connectionsMax = 32

    private let address: StatusAddress
    private let source: StatusSource
    private let idleTimeout: Duration
    private let requestLimit: Duration
    private let onListening: @Sendable (StatusAddress) -> Void

    /// Prepares the server.
    ///
    /// - Parameters:
    ///   - address: The address to listen at.
    ///   - source: The content of the pages.
    ///   - idleTimeout: How long a connection may be silent; whole seconds.
    ///   - requestLimit: How long a request may take until its response is sent.
    ///   - onListening: Called once the server listens, with the port that the kernel chose.
    public init(
        address: StatusAddress, source: StatusSource, idleTimeout: Duration = .seconds(15),
        requestLimit: Duration = .seconds(60),
        onListening: @escaping @Sendable (StatusAddress) -> Void
    ) {
        self.address = address
        self.source = source
        self.idleTimeout = idleTimeout
        self.requestLimit = requestLimit
        self.onListening = onListening
    }

    /// Serves until the process must end.
    ///
    /// - Throws: ``StatusServerError/addressTaken(_:)`` or ``StatusServerError/cannotListen(address:cause:)``.
    public func run() async throws {
        let source = source
        let server: HTTPServer
        do throws(MicroHTTPDError) {
            server = try HTTPServer(
                host: address.host, port: address.port, connectionsMax: Self.connectionsMax, idleTimeout: idleTimeout,
                requestLimit: requestLimit
            ) { request in await StatusPages.response(to: request, from: source) }
        } catch {
            if case .callFailed(_, EADDRINUSE) = error { throw StatusServerError.addressTaken("\(address)") }
            throw StatusServerError.cannotListen(address: "\(address)", cause: Self.cause(error))
        }
        defer { server.stop() }
        onListening(StatusAddress(host: address.host, port: server.port))
        try await gracefulShutdown()
    }

    /// The system's error, and what helps.
    private static func cause(_ error: MicroHTTPDError) -> String {
        guard case .callFailed(_, let errorNumber) = error else { return "\(error)" }
        return switch errorNumber {
        case EACCES, EPERM:
            "ports below 1024 need a right that this user does not have (CAP_NET_BIND_SERVICE). Choose one from 1024 on "
                + "with --http"
        case EADDRNOTAVAIL: "this machine has no such address. Choose another with --http"
        default: SystemWords.text(of: Errno(rawValue: errorNumber))
        }
    }
}
