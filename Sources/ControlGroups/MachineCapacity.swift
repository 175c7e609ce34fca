import Foundation

/// What the machine, the control groups that the process runs in, and its own limits let it use.
public struct MachineCapacity: Equatable, Sendable {
    /// Lanes that can compute at once: at least one.
    public var processors: Int
    /// Memory that can be given to units, in bytes.
    public var memoryBytes: UInt64 { memoryBytes(eachOf: 1) }

    /// What all processes of this machine, or of the control group, share.
    private let sharedBytes: UInt64
    /// What each process may have for itself, `nil` without a limit.
    private let ownBytes: UInt64?

    /// Combines what is there and what is allowed.
    ///
    /// - Parameters:
    ///   - affinity: Processors that the process may run on.
    ///   - availableMemory: Memory that is available on the machine now, in bytes.
    ///   - limits: Those of the control groups.
    ///   - ownMemory: What the limits of a process leave it, in bytes; `nil` without one.
    public init(affinity: Int, availableMemory: UInt64, limits: ControlGroupLimits, ownMemory: UInt64? = nil) {
        // A part of a processor is a lane too: without it that part of the quota would lie idle.
        let quota = limits.processors.map { Int(min($0, 4096).rounded(.up)) } ?? .max
        processors = max(1, min(affinity, quota))
        sharedBytes = min(availableMemory, limits.memoryBytes ?? .max)
        ownBytes = ownMemory
    }

    /// Memory that each of so many processes can give to units, in bytes.
    ///
    /// Four fifths of the memory is used: the rest is for buffers, the program itself and the page cache, which a
    /// control group counts too.
    public func memoryBytes(eachOf processCount: Int) -> UInt64 {
        min(sharedBytes / UInt64(max(1, processCount)), ownBytes ?? .max) / 5 * 4
    }

    /// Looks at this machine and this process.
    public static func current() -> MachineCapacity {
        let limits = ControlGroupLimits(
            membership: text(of: "/proc/self/cgroup") ?? "", mounts: text(of: "/proc/self/mountinfo") ?? "", read: text)
        let available = text(of: "/proc/meminfo").flatMap { kibibytes("MemAvailable", in: $0) }
        return MachineCapacity(
            affinity: ProcessorAffinity.count ?? ProcessInfo.processInfo.activeProcessorCount,
            availableMemory: available?.multipliedReportingOverflow(by: 1024).partialValue ?? 1 << 30, limits: limits,
            ownMemory: ProcessLimits.current().memoryBytes)
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
