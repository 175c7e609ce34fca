internal import CZeroMQ
internal import Glibc
internal import Synchronization

/// Lets other threads wake the one that polls: an eventfd that is written only while that thread sleeps.
///
/// The sleeper first announces itself and then looks for work. The others first make work and then look for a sleeper.
/// So in every interleaving one of the two sees the other.
final class WakeSignal: Sendable {
    /// The descriptor to poll.
    let descriptor: Int32
    private let isSleeping = Atomic(false)

    init() throws(ZeroMQError) {
        descriptor = czeromq_eventfd()
        guard descriptor >= 0 else { throw .callFailed(call: "eventfd()", errorNumber: errno) }
    }

    deinit {
        Glibc.close(descriptor)
    }

    /// Ends the sleep of the polling thread, or keeps it from falling asleep.
    func wake() {
        guard isSleeping.exchange(false, ordering: .sequentiallyConsistent) else { return }
        // The write fails only when the counter is full. Then the descriptor is readable anyway.
        eventfd_write(descriptor, 1)
    }

    /// Announces the sleep; the polling thread calls this before it looks for work a last time.
    func willSleep() {
        isSleeping.store(true, ordering: .sequentiallyConsistent)
    }

    /// Ends the announcement; the polling thread calls this after it polled.
    func didSleep() {
        // When nobody took the flag, nobody wrote, so the system call is not needed.
        if isSleeping.exchange(false, ordering: .sequentiallyConsistent) { return }
        var count: eventfd_t = 0
        unsafe eventfd_read(descriptor, &count)
    }
}
