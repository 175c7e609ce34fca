import FileAccess
import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// The standard metrics of a process, from `/proc`.
///
/// Source: proc(5); prometheus.io/docs/instrumenting/writing_clientlibs, "Process metrics".
public struct ProcessMetrics: Equatable, Sendable {
    /// The families of these metrics.
    public static let families: [MetricFamily] = [
        MetricFamily(
            "process_cpu_seconds_total", help: "Total user and system CPU time spent in seconds.", kind: .counter),
        MetricFamily("process_open_fds", help: "Number of open file descriptors.", kind: .gauge),
        MetricFamily("process_max_fds", help: "Maximum number of open file descriptors.", kind: .gauge),
        MetricFamily("process_virtual_memory_bytes", help: "Virtual memory size in bytes.", kind: .gauge),
        MetricFamily("process_resident_memory_bytes", help: "Resident memory size in bytes.", kind: .gauge),
        MetricFamily(
            "process_start_time_seconds", help: "Start time of the process since unix epoch in seconds.", kind: .gauge),
    ]

    /// The numbers that could be read.
    public let samples: [MetricSample]

    /// Computes the numbers from the texts of `/proc`.
    ///
    /// - Parameters:
    ///   - status: `/proc/self/stat`.
    ///   - system: `/proc/stat`, which holds the time when the machine started.
    ///   - limits: `/proc/self/limits`.
    ///   - openFiles: The number of entries in `/proc/self/fd`.
    ///   - ticksPerSecond: The unit of times.
    ///   - pageBytes: The unit of memory.
    public init(
        status: String, system: String, limits: String, openFiles: Int?, ticksPerSecond: Double, pageBytes: Double
    ) {
        var samples: [MetricSample] = []
        // The second field, the command, may hold spaces and ends with the last parenthesis. Field 3 follows.
        let fields = status.split(separator: ")").last?.split(separator: " ").map { Double($0) } ?? []
        func field(_ number: Int) -> Double? { fields.indices.contains(number - 3) ? fields[number - 3] : nil }
        if let user = field(14), let kernel = field(15) {
            samples.append(MetricSample("process_cpu_seconds_total", [], (user + kernel) / ticksPerSecond))
        }
        if let bytes = field(23) { samples.append(MetricSample("process_virtual_memory_bytes", [], bytes)) }
        if let pages = field(24) {
            samples.append(MetricSample("process_resident_memory_bytes", [], pages * pageBytes))
        }
        if let start = field(22), let boot = Self.number(after: "btime ", in: system) {
            samples.append(MetricSample("process_start_time_seconds", [], boot + start / ticksPerSecond))
        }
        if let openFiles { samples.append(MetricSample("process_open_fds", [], openFiles)) }
        if let most = Self.number(after: "Max open files ", in: limits) {
            samples.append(MetricSample("process_max_fds", [], most))
        }
        self.samples = samples
    }

    /// Reads the metrics of this process.
    public static func current() -> ProcessMetrics {
        func text(_ path: String) -> String { TextFile.ofKernel(path) ?? "" }
        return ProcessMetrics(
            status: text("/proc/self/stat"), system: text("/proc/stat"), limits: text("/proc/self/limits"),
            openFiles: (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))?.count,
            ticksPerSecond: Double(max(sysconf(Int32(_SC_CLK_TCK)), 1)),
            pageBytes: Double(max(sysconf(Int32(_SC_PAGESIZE)), 1)))
    }

    private static func number(after prefix: String, in text: String) -> Double? {
        for line in text.split(separator: "\n") where line.hasPrefix(prefix) {
            return line.dropFirst(prefix.count).split(separator: " ").first.flatMap { Double($0) }
        }
        return nil
    }
}
