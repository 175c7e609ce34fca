import Glibc

/// Whether the program can have the threads that it needs.
///
/// A limit shows only when a thread is refused. A program that lacks a thread in the middle of its work hangs or traps.
public enum ThreadAllowance {
    /// The most threads that the trial starts; the trial takes a moment, and a higher limit does not matter.
    private static let triedMax = 512
    /// The stack of a trial thread, which only waits.
    ///
    /// The C library refuses a stack that does not also hold the thread-local variables of all libraries.
    private static let stackBytes = 1 << 19

    /// Why the program cannot have this many threads, as a sentence; `nil` when it can.
    ///
    /// The trial starts the threads together and then ends them.
    public static func problem(needing wanted: Int) -> String? {
        let wanted = min(wanted, triedMax)
        let gate = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        defer { gate.deallocate() }
        pthread_mutex_init(gate, nil)
        pthread_mutex_lock(gate)
        let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
        defer { attributes.deallocate() }
        pthread_attr_init(attributes)
        pthread_attr_setstacksize(attributes, stackBytes)
        var threads: [pthread_t] = []
        var failure: Int32 = 0
        while threads.count < wanted, failure == 0 {
            var thread = pthread_self()
            failure = pthread_create(
                &thread, attributes,
                { gate in
                    guard let gate = gate?.assumingMemoryBound(to: pthread_mutex_t.self) else { return nil }
                    pthread_mutex_lock(gate)
                    pthread_mutex_unlock(gate)
                    return nil
                }, gate)
            if failure == 0 { threads.append(thread) }
        }
        pthread_mutex_unlock(gate)
        for thread in threads { pthread_join(thread, nil) }
        pthread_attr_destroy(attributes)
        pthread_mutex_destroy(gate)
        guard failure == EAGAIN || failure == ENOMEM else { return nil }
        var limit = rlimit()
        let isLimited =
            getrlimit(__rlimit_resource_t(__RLIMIT_NPROC.rawValue), &limit) == 0 && limit.rlim_cur != rlim_t.max
        let cause =
            isLimited
            ? "this user may have \(limit.rlim_cur) processes and threads, or the control group allows no more"
            : "the control group allows no more, or the memory is used up"
        return "only \(threads.count) of \(wanted) threads can be begun: \(cause). Raise the limit (ulimit -u, "
            + "TasksMax or pids.max of the control group), or give fewer lanes or workers."
    }
}
