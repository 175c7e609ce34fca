internal import CMicroHTTPD
internal import Glibc
internal import Synchronization

/// A server of whole responses over HTTP/1.1; libmicrohttpd serves all connections on one thread of its own.
///
/// A handler runs in a task, and its connection is suspended meanwhile. A server that was started must be stopped.
/// If the process has no descriptor left, a client waits in the kernel's queue until there is one.
@safe
public final class HTTPServer: Sendable {
    /// Makes the response to a request.
    public typealias Handler = @Sendable (HTTPRequest) async -> HTTPResponse

    private struct State {
        var isStopped = false
        /// The requests whose handlers work.
        var suspended: [ObjectIdentifier: (exchange: Exchange, connection: Connection)] = [:]
    }

    /// The port; it is the kernel's choice if port 0 was asked for.
    public let port: Int
    private let handler: Handler
    /// The library's lock may be taken under this one, never the other way round.
    private let state = Mutex(State())
    private let running = Mutex<(daemon: Daemon, acceptor: Acceptor)?>(nil)
    private let connections: OpenConnections
    private let requestLimit: Duration

    /// Listens, and answers from now on.
    ///
    /// - Parameters:
    ///   - host: A numeric address of this machine.
    ///   - port: The port; 0 lets the kernel choose.
    ///   - connectionsMax: The most connections at once; more wait in the kernel's queue.
    ///   - idleTimeout: How long a connection may be silent before it is ended; whole seconds, at least one.
    ///   - requestLimit: How long a request may take until its response is sent, however lively its connection is.
    ///   - handler: Makes the responses.
    /// - Throws: ``MicroHTTPDError``; nothing stays open.
    public init(
        host: String, port: Int, connectionsMax: Int, idleTimeout: Duration, requestLimit: Duration,
        handler: @escaping Handler
    ) throws(MicroHTTPDError) {
        let listener = try ListeningSocket(host: host, port: port)
        self.port = listener.port
        self.handler = handler
        self.requestLimit = requestLimit
        connections = OpenConnections(requestLimit: requestLimit)
        // The library holds the server until it is stopped.
        let own = unsafe Unmanaged.passRetained(self)
        let seconds = UInt32(clamping: max(idleTimeout.components.seconds, 1))
        // The library counts a connection a little longer than it announces it.
        let started = unsafe cmicrohttpd_start(
            UInt32(clamping: 2 * connectionsMax), seconds, answerRequest, completeRequest, noteConnection,
            own.toOpaque())
        guard let started = unsafe started else {
            unsafe own.release()
            close(listener.descriptor)
            throw .cannotStart
        }
        let daemon = unsafe Daemon(pointer: started)
        running.withLock {
            $0 = (
                daemon,
                Acceptor(listener.descriptor, for: daemon, connections, connectionsMax: connectionsMax)
            )
        }
    }

    /// Ends every connection, and returns when nothing of the server is left; requests under way get no response.
    public func stop() {
        guard let (daemon, acceptor) = running.withLock({ $0.take() }) else { return }
        acceptor.stop()
        state.withLock { state in
            state.isStopped = true
            // The library refuses to stop while a connection is suspended.
            for (exchange, connection) in state.suspended.values {
                exchange.stage.withLock { $0 = .dropped }
                connection.resume()
            }
            state.suspended = [:]
        }
        daemon.stop()
        unsafe Unmanaged.passUnretained(self).release()
    }

    /// Notes that a connection begins or ends; called on the library's thread.
    fileprivate func note(isStart: Bool, of descriptor: Int32) {
        guard isStart else { return connections.end(descriptor) }
        let connection = connections.begin(descriptor)
        running.withLock { $0?.acceptor.watch(connection, after: requestLimit) }
    }

    /// Notes the end of a request; called on the library's thread.
    fileprivate func endRequest(of descriptor: Int32) { connections.renew(descriptor) }

    /// Takes a request one step further; called on the library's thread.
    fileprivate func advance(_ exchange: Exchange, _ request: HTTPRequest, of connection: Connection) -> MHD_Result {
        switch exchange.stage.withLock({ $0 }) {
        case .answered(let response): return connection.send(response)
        case .dropped, .underWay: return .NO
        case .read: break
        }
        let isSuspended = state.withLock { state in
            guard !state.isStopped else { return false }
            exchange.stage.withLock { $0 = .underWay }
            connection.suspend()
            state.suspended[ObjectIdentifier(exchange)] = (exchange, connection)
            return true
        }
        guard isSuspended else { return .NO }
        Task { finish(exchange, await handler(request)) }
        return .YES
    }

    private func finish(_ exchange: Exchange, _ response: HTTPResponse) {
        state.withLock { state in
            guard let (_, connection) = state.suspended.removeValue(forKey: ObjectIdentifier(exchange)) else { return }
            exchange.stage.withLock { $0 = .answered(response) }
            connection.resume()
        }
    }
}

/// The library's daemon.
@safe
struct Daemon: @unchecked Sendable {
    // @unchecked Sendable because the library's functions may be called on any thread. Only the server stops it, once.

    let pointer: OpaquePointer

    /// Gives the daemon a connection, which it closes in any case.
    ///
    /// - Returns: Whether it takes the connection.
    func add(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ byteCount: socklen_t) -> Bool {
        unsafe MHD_add_connection(pointer, descriptor, address, byteCount) == .YES
    }

    func stop() { unsafe MHD_stop_daemon(pointer) }
}

/// The library asks for the response: once after the header, then for each part of the body, and then until there is
/// one.
private let answerRequest: MHD_AccessHandlerCallback = { server, connection, path, method, _, _, bodyCount, place in
    guard let server = unsafe server, let connection = unsafe connection, let path = unsafe path,
        let method = unsafe method, let bodyCount = unsafe bodyCount, let place = unsafe place
    else { return .NO }
    guard let known = unsafe place.pointee else {
        unsafe place.pointee = Unmanaged.passRetained(Exchange()).toOpaque()
        return .YES
    }
    if unsafe bodyCount.pointee > 0 {
        unsafe bodyCount.pointee = 0
        return .YES
    }
    let request = unsafe HTTPRequest(method: String(cString: method), path: String(cString: path))
    return unsafe Unmanaged<HTTPServer>.fromOpaque(server).takeUnretainedValue().advance(
        Unmanaged<Exchange>.fromOpaque(known).takeUnretainedValue(), request, of: Connection(pointer: connection))
}

/// The library needs a request no more.
private let completeRequest: MHD_RequestCompletedCallback = { server, connection, place, _ in
    if let server = unsafe server, let connection = unsafe connection {
        unsafe Unmanaged<HTTPServer>.fromOpaque(server).takeUnretainedValue().endRequest(
            of: cmicrohttpd_socket(connection))
    }
    guard let place = unsafe place, let known = unsafe place.pointee else { return }
    unsafe Unmanaged<Exchange>.fromOpaque(known).release()
    unsafe place.pointee = nil
}

/// The library begins a connection, or is about to close it.
private let noteConnection: MHD_NotifyConnectionCallback = { server, connection, _, event in
    guard let server = unsafe server, let connection = unsafe connection else { return }
    unsafe Unmanaged<HTTPServer>.fromOpaque(server).takeUnretainedValue().note(
        isStart: cmicrohttpd_is_start(event), of: cmicrohttpd_socket(connection))
}
