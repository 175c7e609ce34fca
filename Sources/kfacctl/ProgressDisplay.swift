import Console
import Foundation
import Identifiers
import WireProtocol

/// Follows a job to its end: a line that is drawn over on a terminal, a line every ten seconds elsewhere.
struct ProgressDisplay {
    let client: CoordinatorClient
    let isQuiet: Bool

    private static let barWidth = 28

    /// Waits for a job's end.
    ///
    /// - Returns: The job's last state; how it ended is the caller's business.
    func follow(_ job: JobID) async throws -> JobReport {
        let start = Date.now
        var lastLine = Date.distantPast
        var misses = 0
        var hasAnswered = false
        while true {
            let report: JobReport
            do {
                report = try await client.status(job)
                misses = 0
                hasAnswered = true
            } catch let failure as CommandFailure where failure.code == .unreachable && hasAnswered && misses < 30 {
                // A coordinator that restarts takes its jobs up again: wait for it.
                if misses == 0 { Terminal.note("the coordinator does not answer; waiting for it") }
                misses += 1
                continue
            }
            let isInteractive = Terminal.isInteractive
            if !isQuiet, isInteractive || Date.now.timeIntervalSince(lastLine) >= 10 || !report.state.isUnderWay {
                let line = line(report, elapsed: Date.now.timeIntervalSince(start))
                isInteractive ? Terminal.redraw(line) : Terminal.note(line)
                lastLine = .now
            }
            if !report.state.isUnderWay {
                if !isQuiet, isInteractive { Terminal.note("") }
                return report
            }
            try await Task.sleep(for: .milliseconds(isInteractive ? 100 : 50))
        }
    }

    private func line(_ report: JobReport, elapsed: Double) -> String {
        let filled = Int((report.fraction * Double(Self.barWidth)).rounded(.down))
        let bar = String(repeating: "█", count: filled) + String(repeating: "·", count: Self.barWidth - filled)
        let left = report.fraction > 0.02 ? elapsed / report.fraction * (1 - report.fraction) : .infinity
        let percent = Int((report.fraction * 100).rounded(.down))
        var line = "\(report.job) \(bar) \(percent) %  \(report.finishedUnits)/\(report.totalUnits) units  "
        switch report.state {
        case .running:
            line += left.isFinite ? "\(Quantity.time(left)) left  " : ""
            line += report.message.isEmpty ? report.activity : report.message
        case .paused: line += "paused: \(report.message)"
        case .succeeded: line += "done in \(Quantity.rounded(elapsed, 1)) s"
        case .badInput, .failed: line += "failed"
        case .cancelled: line += "cancelled"
        }
        return line
    }
}

extension JobReport.State {
    /// Whether the job has not ended.
    var isUnderWay: Bool { self == .running || self == .paused }
}

extension JobReport {
    /// The failure of a command that waited for the job, unless it succeeded.
    func requireSuccess() throws {
        switch state {
        case .succeeded, .running, .paused: return
        case .badInput: throw CommandFailure(.badInput, "\(job): \(message)")
        case .failed: throw CommandFailure(.failed, "\(job): \(message)")
        case .cancelled: throw CommandFailure(.failed, "\(job): the job was cancelled.")
        }
    }
}
