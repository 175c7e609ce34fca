import Glibc

/// Repeats a system call that a signal, or a stop and continuation of the process, interrupted.
///
/// Source: signal(7), "Interruption of system calls": poll(2), and calls of a socket with a time limit, do not go on by
/// themselves. A repeated call waits for its whole limit again.
///
/// - Parameter call: The call; it returns a negative number and sets `errno` when it fails.
/// - Returns: The result of the last call.
public func uninterrupted<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        guard result < 0, errno == EINTR else { return result }
    }
}
