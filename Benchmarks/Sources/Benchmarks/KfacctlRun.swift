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
        let hasEnded = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in hasEnded.signal() }
        let processor = Self.childrenProcessorSeconds
        let began = Date()
        let wall = try seconds {
            try process.run()
            while hasEnded.wait(timeout: .now() + Self.lookInterval) == .timedOut {
                for (role, mebibytes) in Self.residentSets(childrenOf: process.processIdentifier) {
                    peaks[role] = max(peaks[role] ?? 0, mebibytes)
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
            reported: attributes?[.modificationDate] as? Date, log: DaemonLog(text: log), peakMebibytes: peaks)
    }

    /// The processor time of all programs that this one has started and that have ended.
    private static var childrenProcessorSeconds: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    }

    /// VmHWM of every kfacd that a program has started.
    private static func residentSets(childrenOf parent: Int32) -> [(String, Int)] {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.filter { Int($0) != nil }.compactMap { process in
            guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
                number("PPid", in: status) == Int(parent),
                let command = try? String(contentsOfFile: "/proc/\(process)/cmdline", encoding: .utf8)
            else { return nil }
            let words = command.split(separator: "\0")
            guard words.count > 1, words[0].hasSuffix("kfacd") else { return nil }
            return (String(words[1]), (number("VmHWM", in: status) ?? 0) >> 10)
        }
    }

    /// The number behind a name in /proc/PID/status.
    private static func number(_ name: String, in status: String) -> Int? {
        let line = status.split(separator: "\n").first { $0.hasPrefix("\(name):") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
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
