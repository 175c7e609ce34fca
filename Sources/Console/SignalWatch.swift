import Foundation
import Glibc
import Synchronization

/// Ends a program on SIGINT, SIGTERM, SIGQUIT and SIGHUP (the end of the terminal).
///
/// A program without cleanup ends at once. A program with cleanup (``interruptible(limit:_:)``) is told
/// once. A second signal, or too long a wait, ends it in any state; this does not wait for anything that hangs.
public enum SignalWatch {
    private static let numbers = [SIGINT, SIGTERM, SIGQUIT, SIGHUP]
    /// timeout(1) signals a process and then its group; within this time both count as one signal.
    private static let echoNanoseconds: Int64 = 250_000_000

    /// The number of bodies that must be told.
    private static let watchers = Atomic(0)
    /// The time of the first signal, in nanoseconds of a clock that cannot be set; 0 before it.
    private static let firstSignal = Atomic<Int64>(0)
    /// The pipe's end that the handler writes to.
    ///
    /// The thread at the other end does what a handler may not do.
    private static let sink = Atomic<Int32>(-1)
    private static let action = Mutex<(limit: Duration, tell: @Sendable () -> Void)?>(nil)

    /// Begins to handle the signals; called once, at the program's start.
    ///
    /// Signals that the parent process ignored stay ignored, as nohup(1) requires for SIGHUP.
    public static func begin() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        let source = ends[0]
        sink.store(ends[1], ordering: .sequentiallyConsistent)
        // Initialise the globals before the handler can run.
        _ = watchers.load(ordering: .sequentiallyConsistent) + Int(firstSignal.load(ordering: .sequentiallyConsistent))
        Thread.detachNewThread { listen(source) }
        for number in numbers {
            let isIgnored = number == SIGHUP && isIgnored(number)
            if !isIgnored { signal(number) { SignalWatch.handle($0) } }
        }
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var present = sigaction()
        sigaction(number, nil, &present)
        return unsafeBitCast(present.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// Handles a signal.
    ///
    /// It may run at any point, so it uses only what signal-safety(7) allows.
    private static func handle(_ number: Int32) {
        if watchers.load(ordering: .sequentiallyConsistent) == 0 { _exit(128 + number) }
        let saved = errno
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let now = Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
        let (isFirst, first) = firstSignal.compareExchange(
            expected: 0, desired: now, ordering: .sequentiallyConsistent)
        if isFirst {
            var byte: UInt8 = 1
            _ = write(sink.load(ordering: .sequentiallyConsistent), &byte, 1)
        } else if now - first > echoNanoseconds {
            _exit(CommandExit.interrupted.rawValue)
        }
        errno = saved
    }

    /// Waits for the first signal on its own thread, because the tasks themselves may hang.
    private static func listen(_ source: Int32) {
        var wait = pollfd(fd: source, events: Int16(POLLIN), revents: 0)
        while poll(&wait, 1, -1) < 1 { continue }
        guard let (limit, tell) = action.withLock({ $0 }) else { return }
        tell()
        Thread.sleep(forTimeInterval: limit / .seconds(1))
        _exit(CommandExit.interrupted.rawValue)
    }

    /// Runs a body to its end or to a signal.
    ///
    /// - Parameters:
    ///   - limit: How long the body may take after a signal; then the program ends in any state.
    ///   - body: The work. After a signal its task is cancelled; it should then clean up and end soon.
    /// - Returns: What the body returned, or nil after a signal.
    /// - Throws: What the body throws.
    public static func interruptible<Result: Sendable>(
        limit: Duration = .seconds(30), _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result? {
        let (signals, sink) = AsyncStream.makeStream(of: Void.self)
        action.withLock { $0 = (limit, { sink.yield() }) }
        watchers.add(1, ordering: .sequentiallyConsistent)
        defer { watchers.subtract(1, ordering: .sequentiallyConsistent) }
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                for await _ in signals { return nil }
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
