import Glibc
import SystemPackage

/// How many files, sockets and pipes this process may have open.
public enum DescriptorLimit {
    /// The fewest that our programs work with.
    public static let least = 96
    /// The most that are requested; some systems allow a thousand million.
    private static let most: rlim_t = 1 << 20

    /// The limit as it is now.
    public static var current: Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(min(limit.rlim_cur, most))
    }

    /// Raises the limit to all that the system allows this user, as daemons do, and closes inherited descriptors above
    /// it.
    ///
    /// A program inherits its parent's open descriptors. This program uses none above the limit, and `posix_spawn`
    /// refuses to close them for a child.
    public static func raise() {
        raiseSoftLimit()
        for name in (try? FileRoots.unlimited.names(in: "/proc/self/fd")) ?? [] {
            if let descriptor = Int32(name), descriptor >= current { close(descriptor) }
        }
    }

    private static func raiseSoftLimit() {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        let wanted = min(limit.rlim_max, most)
        guard limit.rlim_cur < wanted else { return }
        limit.rlim_cur = wanted
        // When the system refuses, the old limit stays.
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// Whether this process can open nothing at the moment, because its limit or that of the machine is reached.
    public static var isReached: Bool {
        do {
            try FileDescriptor.open(FilePath("/dev/null"), .readOnly, options: .closeOnExec).close()
            return false
        } catch {
            return error as? Errno == .tooManyOpenFiles || error as? Errno == .tooManyOpenFilesInSystem
        }
    }

    /// Why so few are not enough, or `nil`.
    ///
    /// Libraries end a process that has no descriptor left.
    public static var problem: String? {
        let current = current
        guard current < least else { return nil }
        return "this process may have \(current) files and sockets open; at least \(least) are needed. \(remedy)"
    }

    /// The sentence that says how to raise the limit.
    public static let remedy =
        "Raise the limit of open files: \"ulimit -n 4096\" in a shell, \"LimitNOFILE=65536\" in a service."
}
