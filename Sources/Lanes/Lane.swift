import Dispatch

/// One thread at a time for work that blocks or computes for long, so that it never occupies the threads on which
/// all other asynchronous code runs.
///
/// An actor whose `unownedExecutor` is a lane runs on it: BLAS, files and SQLite each have theirs.
public final class Lane: SerialExecutor {
    private let queue: DispatchQueue

    /// Opens a lane.
    ///
    /// - Parameter name: Shown by debuggers.
    public init(_ name: String) {
        queue = DispatchQueue(label: name)
    }

    /// Runs a job behind those that were enqueued before it.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}
