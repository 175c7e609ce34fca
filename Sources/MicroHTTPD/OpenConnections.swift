// Both modules, because either may own the types of sockets, which the library's header includes.
internal import CMicroHTTPD
internal import Glibc
internal import Synchronization

/// The connections that the library serves, and since when each works on its present request.
///
/// The library ends a silent connection. A connection that sends a byte now and then is never silent, so it is ended
/// here.
final class OpenConnections: Sendable {
    /// A connection with this socket; the number tells it from a later one with the same socket.
    struct Name: Sendable {
        let descriptor: Int32
        let number: UInt64
    }

    private struct State {
        var count: UInt64 = 0
        var open: [Int32: (number: UInt64, since: ContinuousClock.Instant)] = [:]
        /// Connections that the library was given and has not begun.
        var announced = 0
    }

    private let state = Mutex(State())
    /// How long a request may take, from the end of the one before to the end of its response.
    private let requestLimit: Duration

    init(requestLimit: Duration) {
        self.requestLimit = requestLimit
    }

    /// All connections, also those that the library has not begun.
    var count: Int { state.withLock { $0.open.count + $0.announced } }

    /// Notes a connection that the library is about to get.
    func announce() { state.withLock { $0.announced += 1 } }

    /// Notes that the library does not take a connection.
    func withdraw() { state.withLock { $0.announced -= 1 } }

    /// Notes that the library begins a connection.
    func begin(_ descriptor: Int32, at now: ContinuousClock.Instant = .now) -> Name {
        state.withLock { state in
            state.announced -= 1
            state.count += 1
            state.open[descriptor] = (state.count, now)
            return Name(descriptor: descriptor, number: state.count)
        }
    }

    /// Notes that a connection has ended a request; the next one has its own time.
    func renew(_ descriptor: Int32, at now: ContinuousClock.Instant = .now) {
        state.withLock { $0.open[descriptor]?.since = now }
    }

    /// Notes that the library is about to close a connection.
    func end(_ descriptor: Int32) { state.withLock { _ = $0.open.removeValue(forKey: descriptor) } }

    /// Shuts a connection down if its request has taken too long.
    ///
    /// - Returns: How long the request may still take; `nil` for a connection that has ended or was shut down.
    func judge(_ name: Name, at now: ContinuousClock.Instant = .now) -> Duration? {
        state.withLock { state in
            guard let entry = state.open[name.descriptor], entry.number == name.number else { return nil }
            let left = requestLimit - entry.since.duration(to: now)
            guard left <= .zero else { return left }
            // The library closes no socket of this table, so the descriptor is this connection's.
            shutdown(name.descriptor, Int32(SHUT_RDWR))
            return nil
        }
    }
}
