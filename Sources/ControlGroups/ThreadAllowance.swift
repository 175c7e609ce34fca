import CProgramStart
import Glibc

/// Whether the program can have the threads that it needs.
///
/// A limit shows only when a thread is refused. A program that lacks a thread in the middle of its work hangs or traps.
public enum ThreadAllowance {
    /// Why the program cannot have this many threads, as a sentence; `nil` when it can.
    ///
    /// The threads are tried, unless the start of the program tried as many.
    public static func problem(needing wanted: Int) -> String? {
        guard wanted > Int(kfacd_tried_threads()) else { return nil }
        let available = Int(kfacd_available_threads(Int32(clamping: wanted)))
        guard available < wanted else { return nil }
        var limit = rlimit()
        let isLimited =
            getrlimit(__rlimit_resource_t(__RLIMIT_NPROC.rawValue), &limit) == 0 && limit.rlim_cur != rlim_t.max
        let cause =
            isLimited
            ? "this user may have \(limit.rlim_cur) processes and threads, or the control group allows no more"
            : "the control group allows no more, or the memory is used up"
        return "only \(available) of \(wanted) threads can be begun: \(cause). Raise the limit (ulimit -u, "
            + "TasksMax or pids.max of the control group), or give fewer lanes or workers."
    }
}
