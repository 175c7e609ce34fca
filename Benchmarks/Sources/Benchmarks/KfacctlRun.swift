import Foundation

/// `kfacctl run`, as a user runs it, with the log and the peak memory of its daemons.
struct KfacctlRun {
    let binaries: String

    /// The results of a run.
    struct Outcome {
        var wallSeconds: Double
        /// When the program began and ended.
        var span: Range<Date>
        var report: [String: Any]
        /// When the report was written; `nil` without a report.
        var reported: Date?
        var log: DaemonLog
        /// The largest resident set of any process, by role.
        var peakMebibytes: [String: Int]
        /// The processor time of all processes, by role, until shortly before their end.
        var processorSeconds: [String: Double]
    }

    func run(_ job: String, workers: Int, output: String) throws -> Outcome {
        let directory = URL(fileURLWithPath: output).deletingLastPathComponent()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "\(binaries)/kfacctl")
        process.arguments = [
            "run", job, "--workers", "\(workers)", "--overwrite", "--quiet", "--log-level", "notice",
            "--output", output, "--state-directory", directory.path,
        ]
        // A pipe would have to be read meanwhile.
        let logFile = directory.appendingPathComponent("kfacctl.log")
        try Data().write(to: logFile)
        process.standardError = try FileHandle(forWritingTo: logFile)
        var peaks: [String: Int] = [:]
        var times: [Int32: (role: String, seconds: Double)] = [:]
        let began = Date()
        let wall = try seconds {
            try process.run()
            while process.isRunning {
                for (daemon, role) in ProcessReading.daemons(of: process.processIdentifier) {
                    guard let reading = ProcessReading(of: daemon) else { continue }
                    peaks[role] = max(peaks[role] ?? 0, reading.peakMebibytes)
                    times[daemon] = (role, reading.processorSeconds)
                }
                usleep(50_000)
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
            wallSeconds: wall, span: began..<began + wall, report: report ?? [:],
            reported: attributes?[.modificationDate] as? Date, log: DaemonLog(text: log), peakMebibytes: peaks,
            processorSeconds: Dictionary(times.values.map { ($0.role, $0.seconds) }, uniquingKeysWith: +))
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
