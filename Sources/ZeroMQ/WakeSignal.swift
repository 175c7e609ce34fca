internal import CZeroMQ
internal import Glibc
internal import Synchronization

/// How other threads wake the one that polls: an eventfd, written only when that thread sleeps.
///
/// The sleeper announces itself first and looks for work afterwards; the others make work first and look for a sleeper
/// afterwards. Whatever the interleaving, one of the two sees the other.
final class WakeSignal: Sendable {
    /// What poll watches.
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
        // Fails only when the counter is full, and then the descriptor is readable anyway.
        eventfd_write(descriptor, 1)
    }

    /// To be called by the polling thread before it looks for work a last time.
    func willSleep() {
        isSleeping.store(true, ordering: .sequentiallyConsistent)
    }

    /// To be called by the polling thread after it polled.
    func didSleep() {
        // When nobody took the flag nobody wrote either, and the system call is saved.
        if isSleeping.exchange(false, ordering: .sequentiallyConsistent) { return }
        var count: eventfd_t = 0
        unsafe eventfd_read(descriptor, &count)
    }
}
