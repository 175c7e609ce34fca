internal import CZeroMQ
internal import Glibc
internal import Synchronization

/// The one thread that makes, polls, uses and closes a channel's sockets.
///
/// The channel has a thread of its own, because polling blocks and must not occupy a thread of the cooperative pool.
final class SocketThread: Sendable {
    private let handle: Mutex<pthread_t?> = Mutex(nil)

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - name: for debuggers and `top`. The kernel keeps 15 bytes.
    ///   - body: the thread's whole life.
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; `body` will not run.
    init(name: String, _ body: @escaping @Sendable () -> Void) throws(ZeroMQError) {
        let start = unsafe Unmanaged.passRetained(ThreadStart(name: name, body: body))
        var thread = pthread_t()
        let result = Self.withSignalsBlocked {
            unsafe pthread_create(
                &thread,
                nil,
                { argument in
                    guard let argument = unsafe argument else { return nil }
                    let start = unsafe Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
                    start.run()
                    return nil
                },
                start.toOpaque()
            )
        }
        guard result == 0 else {
            unsafe start.release()
            throw .callFailed(call: "pthread_create()", errorNumber: result)
        }
        handle.withLock { $0 = thread }
    }

    deinit {
        guard let thread = takeHandle() else { return }
        pthread_detach(thread)
    }

    /// Waits until the thread has ended; it blocks, so call it when the end is near.
    func join() {
        guard let thread = takeHandle() else { return }
        pthread_join(thread, nil)
    }

    private func takeHandle() -> pthread_t? {
        handle.withLock { handle in
            defer { handle = nil }
            return handle
        }
    }

    /// A new thread inherits the mask; so signals of the process go to the threads that expect them.
    private static func withSignalsBlocked(_ body: () -> Int32) -> Int32 {
        var all = sigset_t()
        var previous = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &previous)
        let result = body()
        unsafe pthread_sigmask(SIG_SETMASK, &previous, nil)
        return result
    }
}

/// The start values of a new thread.
private final class ThreadStart: Sendable {
    private let name: String
    private let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }

    func run() {
        let shortName = String(decoding: name.utf8.prefix(15), as: UTF8.self)
        unsafe pthread_setname_np(pthread_self(), shortName)
        body()
    }
}
