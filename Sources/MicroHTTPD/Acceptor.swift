internal import CMicroHTTPD
internal import Dispatch
internal import Glibc

/// Accepts connections and gives them to the library.
///
/// The library can accept too. But while the process has no descriptor left, and no other connection, it tries again
/// without a pause, and takes a whole core. Here a client waits in the kernel's queue, and is asked for a few times a
/// second.
@safe
final class Acceptor: @unchecked Sendable {
    // @unchecked Sendable because all variables belong to the queue.

    /// The wait for a descriptor, or for the end of another connection.
    private static let pause = DispatchTimeInterval.milliseconds(200)

    private let queue = DispatchQueue(label: "kfacd.status.accept")
    private let source: any DispatchSourceRead
    private let listener: Int32
    private let daemon: Daemon
    private let connections: OpenConnections
    private let connectionsMax: Int
    private var isPaused = false
    private var isStopped = false
    private let end = DispatchSemaphore(value: 0)

    /// Accepts from now on.
    ///
    /// - Parameters:
    ///   - listener: A socket that listens and does not block; it is closed at the end.
    ///   - daemon: The library's daemon; it must outlive ``stop()``.
    ///   - connections: The connections of the daemon.
    ///   - connectionsMax: The most of them at once.
    init(_ listener: Int32, for daemon: Daemon, _ connections: OpenConnections, connectionsMax: Int) {
        self.listener = listener
        self.daemon = daemon
        self.connections = connections
        self.connectionsMax = connectionsMax
        source = DispatchSource.makeReadSource(fileDescriptor: listener, queue: queue)
        source.setEventHandler { [weak self] in self?.acceptAll() }
        source.setCancelHandler { [end] in
            close(listener)
            end.signal()
        }
        source.activate()
    }

    /// Ends, and returns when no connection is accepted any more.
    func stop() {
        queue.sync {
            isStopped = true
            source.cancel()
            // A source that is suspended does not end.
            if isPaused { source.resume() }
            isPaused = false
        }
        end.wait()
    }

    /// Ends a connection when its request has taken too long.
    func watch(_ connection: OpenConnections.Name, after wait: Duration) {
        let (seconds, attoseconds) = wait.components
        let delay = Double(seconds) + Double(attoseconds) * 1e-18
        queue.asyncAfter(deadline: .now() + delay) { [weak self] in
            guard let self, !isStopped, let left = connections.judge(connection) else { return }
            watch(connection, after: left)
        }
    }

    private func acceptAll() {
        while !isStopped {
            guard connections.count < connectionsMax else { return wait() }
            var address = sockaddr_storage()
            var count = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let accepted = unsafe withUnsafeMutablePointer(to: &address) {
                unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    let descriptor = unsafe cmicrohttpd_accept(listener, $0, &count)
                    guard descriptor >= 0 else { return errno }
                    connections.announce()
                    // The library closes a socket that it does not take.
                    if unsafe !daemon.add(descriptor, $0, count) { connections.withdraw() }
                    return 0
                }
            }
            switch accepted {
            case 0, EINTR, ECONNABORTED, EPROTO: continue
            case EAGAIN: return
            // No descriptor or no memory is left. What else fails does not get better by haste either.
            default: return wait()
            }
        }
    }

    /// Looks for connections a moment later.
    private func wait() {
        isPaused = true
        source.suspend()
        queue.asyncAfter(deadline: .now() + Self.pause) { [weak self] in
            guard let self, isPaused else { return }
            isPaused = false
            source.resume()
        }
    }
}
