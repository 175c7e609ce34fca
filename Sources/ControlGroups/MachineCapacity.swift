import Foundation

/// What the machine, and the control groups that the process runs in, let it use.
public struct MachineCapacity: Equatable, Sendable {
    /// Lanes that can compute at once: at least one.
    public var processors: Int
    /// Memory that can be given to units, in bytes.
    public var memoryBytes: UInt64

    /// Combines what is there and what is allowed.
    ///
    /// Four fifths of the memory is used: the rest is for buffers, the program itself and the page cache, which a
    /// control group counts too.
    ///
    /// - Parameters:
    ///   - affinity: Processors that the process may run on.
    ///   - availableMemory: Memory that is available on the machine now, in bytes.
    ///   - limits: Those of the control groups.
    public init(affinity: Int, availableMemory: UInt64, limits: ControlGroupLimits) {
        // A part of a processor is a lane too: without it that part of the quota would lie idle.
        let quota = limits.processors.map { Int(min($0, 4096).rounded(.up)) } ?? .max
        processors = max(1, min(affinity, quota))
        memoryBytes = min(availableMemory, limits.memoryBytes ?? .max) / 5 * 4
    }

    /// Looks at this machine and this process.
    public static func current() -> MachineCapacity {
        let limits = ControlGroupLimits(
            membership: text(of: "/proc/self/cgroup") ?? "", mounts: text(of: "/proc/self/mountinfo") ?? "", read: text)
        let available = text(of: "/proc/meminfo").flatMap { kibibytes("MemAvailable", in: $0) }
        return MachineCapacity(
            affinity: ProcessInfo.processInfo.activeProcessorCount,
            availableMemory: available?.multipliedReportingOverflow(by: 1024).partialValue ?? 1 << 30, limits: limits)
    }

    private static func text(of path: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8)
    }

    private static func kibibytes(_ key: String, in text: String) -> UInt64? {
        for line in text.split(separator: "\n") where line.hasPrefix("\(key):") {
            return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { UInt64($0) }
        }
        return nil
    }
}
