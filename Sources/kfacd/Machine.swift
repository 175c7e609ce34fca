import Foundation

/// What the machine, or the control group that the process runs in, lets it use.
enum Machine {
    /// Cores: the process's affinity, and the control group's quota where there is one.
    static var usableCores: Int {
        let cores = ProcessInfo.processInfo.activeProcessorCount
        guard let quota = controlGroupCores else { return max(1, cores) }
        return max(1, min(cores, quota))
    }

    /// Four fifths of the memory that is available now, or of the control group's limit when that is less.
    static var usableMemoryBytes: UInt64 {
        let available = value("MemAvailable", in: "/proc/meminfo").map { $0 << 10 } ?? (1 << 30)
        let limit = (try? String(contentsOfFile: "/sys/fs/cgroup/memory.max", encoding: .utf8))
            .flatMap { UInt64($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
        return min(available, limit ?? .max) / 5 * 4
    }

    private static var controlGroupCores: Int? {
        guard let text = try? String(contentsOfFile: "/sys/fs/cgroup/cpu.max", encoding: .utf8) else { return nil }
        let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
        guard numbers.count == 2, numbers[1] > 0 else { return nil }
        return Int((numbers[0] / numbers[1]).rounded(.up))
    }

    private static func value(_ key: String, in path: String) -> UInt64? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix("\(key):") {
            return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { UInt64($0) }
        }
        return nil
    }
}
