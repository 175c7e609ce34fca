import Foundation

/// `kfacctl run`, as a user runs it, with the log and the peak memory of its daemons.
struct KfacctlRun {
    let binaries: String

    /// The results of a run.
    struct Outcome {
        var wallSeconds: Double
        /// The processor time of the program and its daemons.
        var processorSeconds: Double
        /// When the program began and ended.
        var span: Range<Date>
        var report: [String: Any]
        /// When the report was written; `nil` without a report.
        var reported: Date?
        var log: DaemonLog
        /// The largest resident set of any process, by role.
        var peakMebibytes: [String: Int]
        /// The processor time of the daemons, by role, until shortly before their end.
        var processorSecondsByRole: [String: Double]
    }

    /// Between two looks at the memory of the daemons; each look costs some milliseconds of a processor.
    private static let lookInterval = DispatchTimeInterval.milliseconds(100)

    func run(_ job: String, workers: Int, output: String, logLevel: String = "notice") throws -> Outcome {
        let directory = URL(fileURLWithPath: output).deletingLastPathComponent()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "\(binaries)/kfacctl")
        process.arguments = [
            "run", job, "--workers", "\(workers)", "--overwrite", "--quiet", "--log-level", logLevel,
            "--output", output, "--state-directory", directory.path,
        ]
        // A pipe would have to be read meanwhile.
        let logFile = directory.appendingPathComponent("kfacctl.log")
        try Data().write(to: logFile)
        process.standardError = try FileHandle(forWritingTo: logFile)
        var peaks: [String: Int] = [:]
        var times: [Int32: (role: String, seconds: Double)] = [:]
        let hasEnded = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in hasEnded.signal() }
        let processor = Self.childrenProcessorSeconds
        let began = Date()
        let wall = try seconds {
            try process.run()
            while hasEnded.wait(timeout: .now() + Self.lookInterval) == .timedOut {
                for (daemon, role) in ProcessReading.daemons(of: process.processIdentifier) {
                    guard let reading = ProcessReading(of: daemon) else { continue }
                    peaks[role] = max(peaks[role] ?? 0, reading.peakMebibytes)
                    times[daemon] = (role, reading.processorSeconds)
                }
            }
        }
        let log = String(decoding: try Data(contentsOf: logFile), as: UTF8.self)
        guard process.terminationStatus == 0 else {
            throw MeasuredJobFailure(job: job, exitStatus: process.terminationStatus, log: log)
        }
        // A job without the report among its outputs has no report.
        let reportFile = "\(output)/report.json"
        let report = try FileManager.default.contents(atPath: reportFile).map {
            try JSONSerialization.jsonObject(with: $0) as? [String: Any] ?? [:]
        }
        let attributes = try? FileManager.default.attributesOfItem(atPath: reportFile)
        return Outcome(
            wallSeconds: wall, processorSeconds: Self.childrenProcessorSeconds - processor,
            span: began..<began + wall, report: report ?? [:],
            reported: attributes?[.modificationDate] as? Date, log: DaemonLog(text: log), peakMebibytes: peaks,
            processorSecondsByRole: Dictionary(times.values.map { ($0.role, $0.seconds) }, uniquingKeysWith: +))
    }

    /// The processor time of all programs that this one has started and that have ended.
    private static var childrenProcessorSeconds: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    }
}

/// A measured job failed.
struct MeasuredJobFailure: Error, CustomStringConvertible {
    let job: String
    let exitStatus: Int32
    /// What kfacctl and its daemons have printed.
    let log: String

    var description: String { "kfacctl run \(job) ended with exit code \(exitStatus):\n\(log)" }
}
