import Foundation

/// `kfacctl run`, as a user runs it, and the peak memory of its daemons.
struct KfacctlRun {
    let binaries: String

    /// The results of a run.
    struct Outcome {
        var wallSeconds: Double
        var report: [String: Any]
        /// The largest resident set of any process, by role.
        var peakMebibytes: [String: Int]
    }

    func run(_ job: String, workers: Int, output: String) throws -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "\(binaries)/kfacctl")
        process.arguments = [
            "run", job, "--workers", "\(workers)", "--overwrite", "--quiet", "--output", output, "--state-directory",
            URL(fileURLWithPath: output).deletingLastPathComponent().path,
        ]
        var peaks: [String: Int] = [:]
        let wall = try seconds {
            try process.run()
            while process.isRunning {
                for (role, mebibytes) in Self.residentSets() { peaks[role] = max(peaks[role] ?? 0, mebibytes) }
                usleep(20_000)
            }
        }
        guard process.terminationStatus == 0 else {
            throw MeasuredJobFailure(job: job, exitStatus: process.terminationStatus)
        }
        // A job without the report among its outputs has no report.
        let report =
            try FileManager.default.contents(atPath: "\(output)/report.json").map {
                try JSONSerialization.jsonObject(with: $0) as? [String: Any] ?? [:]
            } ?? [:]
        return Outcome(wallSeconds: wall, report: report, peakMebibytes: peaks)
    }

    /// VmHWM of every running kfacd.
    private static func residentSets() -> [(String, Int)] {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.filter { Int($0) != nil }.compactMap { process in
            guard let command = try? String(contentsOfFile: "/proc/\(process)/cmdline", encoding: .utf8),
                let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
            else { return nil }
            let words = command.split(separator: "\0")
            guard words.count > 1, words[0].hasSuffix("kfacd") else { return nil }
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
            let kibibytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
            return (String(words[1]), kibibytes >> 10)
        }
    }
}

/// A measured job failed; `kfacctl` has printed the reason.
struct MeasuredJobFailure: Error, CustomStringConvertible {
    let job: String
    let exitStatus: Int32

    var description: String { "kfacctl run \(job) ended with exit code \(exitStatus); its message is above." }
}
