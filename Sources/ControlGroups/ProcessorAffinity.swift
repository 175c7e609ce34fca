import CSystemCalls
import Glibc

/// The processors that a process may run on.
enum ProcessorAffinity {
    /// The most bytes of a mask: more processors than any kernel supports.
    private static let byteCountMax = 1 << 17

    /// The number of processors in this process's mask; `nil` when the kernel does not tell.
    ///
    /// taskset, numactl, cpusets and CPUAffinity= set the mask.
    ///
    /// Source: sched_getaffinity(2). The kernel refuses a mask that is too small, so the mask grows until it fits.
    static var count: Int? {
        var byteCount = 128
        while byteCount <= byteCountMax {
            // The kernel writes whole words.
            var mask = [UInt64](repeating: 0, count: byteCount / 8)
            if sched_getaffinity(0, UInt(byteCount), &mask) == 0 {
                let count = mask.reduce(0) { $0 + $1.nonzeroBitCount }
                return count > 0 ? count : nil
            }
            guard errno == EINVAL else { return nil }
            byteCount *= 2
        }
        return nil
    }
}
