import FileAccess
import Glibc

/// The memory that the limits of a process leave (getrlimit(2)).
struct ProcessLimits: Equatable {
    /// The bytes of address space that the process may still map, `nil` without a limit.
    var addressBytes: UInt64?
    /// The bytes of data and stacks that the process may still map, `nil` without a limit.
    var dataBytes: UInt64?

    /// The bytes that the process may still map, `nil` without a limit.
    var memoryBytes: UInt64? { tightest?.left }

    /// The limit that leaves the fewest bytes: its name, how to raise it, and the bytes left.
    var tightest: (name: String, remedy: String, left: UInt64)? {
        [
            addressBytes.map { ("the address space", "ulimit -v, LimitAS", $0) },
            dataBytes.map { ("data", "ulimit -d, LimitDATA", $0) },
        ].compactMap(\.self).min { $0.2 < $1.2 }
    }

    /// Subtracts the memory in use from the limits.
    ///
    /// - Parameters:
    ///   - addressSpace: `RLIMIT_AS` (ulimit -v), `nil` without one.
    ///   - data: `RLIMIT_DATA` (ulimit -d), which counts private writable mappings too, `nil` without one.
    ///   - pages: The text of `/proc/self/statm`.
    ///   - pageBytes: The size of a page.
    init(addressSpace: UInt64?, data: UInt64?, pages: String, pageBytes: UInt64) {
        let counts = pages.split(separator: " ").map { UInt64($0) ?? 0 }
        func left(_ limit: UInt64?, _ field: Int) -> UInt64? {
            let used = (counts.indices.contains(field) ? counts[field] : 0).multipliedReportingOverflow(by: pageBytes)
            return limit.map { $0 > used.partialValue ? $0 - used.partialValue : 0 }
        }
        // Fields 1 and 6 of proc(5): the total size, and the size of data and stacks.
        (addressBytes, dataBytes) = (left(addressSpace, 0), left(data, 5))
    }

    /// Reads the limits of this process.
    static func current() -> ProcessLimits {
        let pages = TextFile.ofKernel("/proc/self/statm") ?? ""
        return ProcessLimits(
            addressSpace: soft(RLIMIT_AS), data: soft(RLIMIT_DATA), pages: pages,
            pageBytes: UInt64(max(sysconf(Int32(_SC_PAGESIZE)), 1)))
    }

    /// A limit as it is now; `nil` without one.
    static func soft(_ resource: __rlimit_resource) -> UInt64? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max else {
            return nil
        }
        return UInt64(limit.rlim_cur)
    }
}
