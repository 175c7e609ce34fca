import Glibc
public import SystemPackage

/// How many files, sockets and pipes this process may have open.
public enum DescriptorLimit {
    /// The fewest that a program of ours works with.
    public static let least = 96
    /// No more are asked for: some systems allow a thousand million.
    private static let most: rlim_t = 1 << 20

    /// The limit as it is now.
    public static var current: Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(min(limit.rlim_cur, most))
    }

    /// Asks for all that the system allows this user, as daemons do, and closes what was inherited beyond that.
    ///
    /// A program is given whatever its parent had open. What lies beyond the limit is nothing that it uses, and
    /// `posix_spawn` refuses to close it for a child.
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
        // A system that refuses leaves what there was.
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// Why nothing can be done with so few, or `nil`: libraries end a process that has none left for them.
    public static var problem: String? {
        let current = current
        guard current < least else { return nil }
        return "this process may have \(current) files and sockets open; at least \(least) are needed. \(remedy)"
    }

    /// What helps.
    public static let remedy =
        "Raise the limit of open files: \"ulimit -n 4096\" in a shell, \"LimitNOFILE=65536\" in a service."
}

extension Errno {
    /// What helps against the error, as a further sentence after a space; empty where the error says it.
    public var remedy: String {
        switch self {
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem: " \(DescriptorLimit.remedy)"
        default: ""
        }
    }
}
