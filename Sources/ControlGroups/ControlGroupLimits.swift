/// The limits that control groups set for a process.
///
/// A limit of a group holds for all groups below it, so the tightest of the process's own group and its ancestors
/// counts. Source: cgroups(7), the kernel's cgroup-v2.rst (`cpu.max`, `memory.max`, `memory.high`) and cgroup-v1
/// documents (`cpu.cfs_quota_us`, `memory.limit_in_bytes`).
public struct ControlGroupLimits: Equatable, Sendable {
    /// Processors' worth of time, `nil` without a quota.
    public var processors: Double?
    /// Bytes of memory, `nil` without a limit.
    public var memoryBytes: UInt64?

    /// Reads the limits of a process.
    ///
    /// A limit that cannot be read counts as no limit: a container may hide the groups above its own.
    ///
    /// - Parameters:
    ///   - membership: The text of `/proc/self/cgroup`.
    ///   - mounts: The text of `/proc/self/mountinfo`.
    ///   - read: Gives the text of a file, or `nil`.
    public init(membership: String, mounts: String, read: (_ path: String) -> String?) {
        for mount in ControlGroupMount.all(in: mounts) {
            for group in ControlGroupMembership.all(in: membership) where mount.holds(group) {
                for directory in mount.directories(of: group.path) {
                    switch mount.version {
                    case .unified: tighten(unified: directory, read)
                    case .legacy: tighten(legacy: directory, read)
                    }
                }
            }
        }
    }

    private mutating func tighten(unified directory: String, _ read: (String) -> String?) {
        if let fields = read("\(directory)/cpu.max")?.split(whereSeparator: \.isWhitespace), fields.count == 2,
            let quota = Double(fields[0]), let period = Double(fields[1])
        {
            tighten(quota: quota, period: period)
        }
        // Above `high` the kernel slows the group down, so a worker that plans with more would crawl.
        for name in ["memory.max", "memory.high"] {
            if let limit = read("\(directory)/\(name)").flatMap(Self.number) { tighten(memory: limit) }
        }
    }

    private mutating func tighten(legacy directory: String, _ read: (String) -> String?) {
        if let quota = read("\(directory)/cpu.cfs_quota_us").flatMap(Self.number),
            let period = read("\(directory)/cpu.cfs_period_us").flatMap(Self.number)
        {
            tighten(quota: Double(quota), period: Double(period))
        }
        // "No limit" is the largest multiple of a page that fits 63 bits.
        if let limit = read("\(directory)/memory.limit_in_bytes").flatMap(Self.number), limit < 1 << 62 {
            tighten(memory: limit)
        }
    }

    private mutating func tighten(quota: Double, period: Double) {
        guard quota > 0, period > 0 else { return }
        processors = min(processors ?? .infinity, quota / period)
    }

    private mutating func tighten(memory: UInt64) {
        memoryBytes = min(memoryBytes ?? .max, memory)
    }

    /// Reads the number in a file; `max` and −1 mean no limit.
    private static func number(_ text: String) -> UInt64? {
        UInt64(text.trimmingPrefix(while: \.isWhitespace).prefix { !$0.isWhitespace })
    }
}
