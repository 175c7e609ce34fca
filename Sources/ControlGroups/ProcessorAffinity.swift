import CSystemCalls
import Glibc

/// The processors that a process may run on.
enum ProcessorAffinity {
    /// Bytes of the largest mask that is asked for: more processors than any kernel is built for.
    private static let byteCountMax = 1 << 17

    /// How many processors the mask of this process holds, which taskset, numactl, cpusets and CPUAffinity= set; `nil`
    /// when the kernel does not say.
    ///
    /// Source: sched_getaffinity(2): a mask that is too small for the kernel's is refused, so it grows until it fits.
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
