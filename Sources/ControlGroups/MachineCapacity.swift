import FileAccess
import Foundation

/// What the machine, the process's control groups and its own limits allow.
public struct MachineCapacity: Equatable, Sendable {
    /// The lanes that can compute at once; at least one.
    public var processors: Int
    /// The memory for units, in bytes.
    public var memoryBytes: UInt64 { memoryBytes(eachOf: 1) }

    /// The memory that all processes of this machine or control group share.
    private let sharedBytes: UInt64
    /// The memory that each process may use itself, `nil` without a limit.
    private let ownBytes: UInt64?

    /// Combines the available resources and the limits.
    ///
    /// - Parameters:
    ///   - affinity: Processors that the process may run on.
    ///   - availableMemory: Memory that is available on the machine now, in bytes.
    ///   - limits: The limits of the control groups.
    ///   - ownMemory: The memory that the process's limits leave, in bytes; `nil` without a limit.
    public init(affinity: Int, availableMemory: UInt64, limits: ControlGroupLimits, ownMemory: UInt64? = nil) {
        // A part of a processor counts as a lane too. Otherwise that part of the quota would be idle.
        let quota = limits.processors.map { Int(min($0, 4096).rounded(.up)) } ?? .max
        processors = max(1, min(affinity, quota))
        sharedBytes = min(availableMemory, limits.memoryBytes ?? .max)
        ownBytes = ownMemory
    }

    /// The memory for units of each of several processes, in bytes.
    ///
    /// Units get four fifths of the memory. The rest is for buffers, the program itself and the page cache, which
    /// counts in a control group too.
    public func memoryBytes(eachOf processCount: Int) -> UInt64 {
        min(sharedBytes / UInt64(max(1, processCount)), ownBytes ?? .max) / 5 * 4
    }

    /// Measures this machine and this process.
    public static func current() -> MachineCapacity {
        let limits = ControlGroupLimits(
            membership: TextFile.ofKernel("/proc/self/cgroup") ?? "",
            mounts: TextFile.ofKernel("/proc/self/mountinfo") ?? "", read: TextFile.ofKernel)
        let available = TextFile.ofKernel("/proc/meminfo").flatMap { kibibytes("MemAvailable", in: $0) }
        return MachineCapacity(
            affinity: ProcessorAffinity.count ?? ProcessInfo.processInfo.activeProcessorCount,
            availableMemory: available?.multipliedReportingOverflow(by: 1024).partialValue ?? 1 << 30, limits: limits,
            ownMemory: ProcessLimits.current().memoryBytes)
    }

    private static func kibibytes(_ key: String, in text: String) -> UInt64? {
        for line in text.split(separator: "\n") where line.hasPrefix("\(key):") {
            return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { UInt64($0) }
        }
        return nil
    }
}
