internal import CMicroHTTPD
internal import Glibc
internal import Synchronization

/// A server of whole responses over HTTP/1.1; libmicrohttpd serves all connections on one thread of its own.
///
/// A handler runs in a task, and its connection is suspended meanwhile. A server that was started must be stopped.
///
/// If the process has no descriptor left, a client waits in the kernel's queue until there is one. If there is no other
/// connection, the library then tries to accept it without a pause.
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
    private let daemon = Mutex<Daemon?>(nil)

    /// Listens, and answers from now on.
    ///
    /// - Parameters:
    ///   - host: A numeric address of this machine.
    ///   - port: The port; 0 lets the kernel choose.
    ///   - connectionsMax: The most connections at once; more wait in the kernel's queue.
    ///   - idleTimeout: How long a connection may be silent before it is ended; whole seconds, at least one.
    ///   - handler: Makes the responses.
    /// - Throws: ``MicroHTTPDError``; nothing stays open.
    public init(
        host: String, port: Int, connectionsMax: Int, idleTimeout: Duration, handler: @escaping Handler
    ) throws(MicroHTTPDError) {
        let listener = try ListeningSocket(host: host, port: port)
        self.port = listener.port
        self.handler = handler
        // The library holds the server until it is stopped.
        let own = unsafe Unmanaged.passRetained(self)
        let seconds = UInt32(clamping: max(idleTimeout.components.seconds, 1))
        let started = unsafe cmicrohttpd_start(
            listener.descriptor, UInt32(clamping: connectionsMax), seconds, answerRequest, endRequest, own.toOpaque())
        guard let started = unsafe started else {
            unsafe own.release()
            close(listener.descriptor)
            throw .cannotStart
        }
        daemon.withLock { $0 = unsafe Daemon(pointer: started) }
    }

    /// Ends every connection, and returns when nothing of the server is left; requests under way get no response.
    public func stop() {
        guard let ended = daemon.withLock({ $0.take() }) else { return }
        state.withLock { state in
            state.isStopped = true
            // The library refuses to stop while a connection is suspended.
            for (exchange, connection) in state.suspended.values {
                exchange.stage.withLock { $0 = .dropped }
                connection.resume()
            }
            state.suspended = [:]
        }
        ended.stop()
        unsafe Unmanaged.passUnretained(self).release()
    }

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
private struct Daemon: @unchecked Sendable {
    // @unchecked Sendable because only the one who takes it out of its lock uses it.

    let pointer: OpaquePointer

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
private let endRequest: MHD_RequestCompletedCallback = { _, _, place, _ in
    guard let place = unsafe place, let known = unsafe place.pointee else { return }
    unsafe Unmanaged<Exchange>.fromOpaque(known).release()
    unsafe place.pointee = nil
}
