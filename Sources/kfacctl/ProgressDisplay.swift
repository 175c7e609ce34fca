import Console
import CostEstimate
import Foundation
import Identifiers
import WireProtocol

/// Follows a job to its end.
///
/// A terminal shows one updated line; otherwise there is a new line every ten seconds.
struct ProgressDisplay {
    let client: CoordinatorClient
    let isQuiet: Bool
    /// How long a paused job may make no progress before this gives up; `nil` for no limit.
    var patience: Duration?
    /// The seconds that the job was predicted to take; `nil` without a prediction.
    var predictedSeconds: Double?

    /// Waits until a job ends.
    ///
    /// - Returns: The job's last state. The caller checks how the job ended.
    /// - Throws: ``CommandFailure`` when the coordinator does not answer, or the job was paused for too long.
    func follow(_ job: JobID) async throws -> JobReport {
        var output = ProgressOutput()
        var pause = PauseWatch(patience: patience)
        var timeLeft = TimeLeft()
        var misses = 0
        var hasAnswered = false
        let start = ContinuousClock.now
        while true {
            let report: JobReport
            do {
                report = try await client.status(job)
                misses = 0
                hasAnswered = true
            } catch let failure as CommandFailure where failure.code == .unreachable && hasAnswered && misses < 30 {
                // A coordinator that restarts resumes its jobs, so this waits for it.
                if misses == 0 { Terminal.note("the coordinator does not answer; waiting for it") }
                misses += 1
                continue
            }
            try pause.note(report)
            let isLast = !report.state.isUnderWay
            let left = timeLeft.update(report.state == .running ? expectedSeconds(report) : nil)
            if !isQuiet { output.show(line(report, left: left), isLast: isLast) }
            if isLast { return report }
            // The end of a short job is noticed soon, and a long job is not asked more often than people read.
            let longest = Duration.milliseconds(Terminal.isInteractive ? 200 : 50)
            try await Task.sleep(for: min(max((.now - start) / 20, .milliseconds(5)), longest))
        }
    }

    private func expectedSeconds(_ report: JobReport) -> Double? {
        RemainingTime.seconds(
            predicted: predictedSeconds, elapsed: report.elapsedSeconds, fraction: report.fraction,
            measured: report.leftSeconds)
    }

    private func line(_ report: JobReport, left: Double?) -> ProgressLine {
        let name = report.job.rawValue
        let percent = "\(Int((report.fraction * 100).rounded(.down))) %"
        let units = "\(report.finishedUnits)/\(report.totalUnits) units"
        switch report.state {
        case .running:
            return ProgressLine(
                name: name, share: report.fraction,
                figures: [percent] + (left.map { ["\(Quantity.time($0)) left"] } ?? []) + [units],
                activity: report.message.isEmpty ? report.activity : report.message)
        case .paused:
            return ProgressLine(
                name: name, share: nil, figures: [percent],
                // A log has the cause already, and once is enough.
                activity: Terminal.isInteractive ? "paused: \(report.message)" : "paused")
        case .succeeded:
            let took = report.elapsedSeconds.map { "done in \(Quantity.rounded($0, 1)) s" } ?? "done"
            let predicted = predictedSeconds.map { ["predicted: \(Quantity.rounded($0, 1)) s"] } ?? []
            return ProgressLine(
                name: name, share: report.fraction, figures: [percent, took] + predicted + [units], activity: "")
        case .badInput, .failed: return ProgressLine(name: name, share: nil, figures: [percent], activity: "failed")
        case .cancelled: return ProgressLine(name: name, share: nil, figures: [percent], activity: "cancelled")
        }
    }
}

/// Measures how long a job has waited for room.
private struct PauseWatch {
    let patience: Duration?
    private var isPaused = false
    /// The causes of this pause that the user knows.
    private var told = ToldSentences()
    /// The time of the job's last progress, or of the start of its pause.
    private var since = ContinuousClock.now
    private var finishedUnits = 0

    init(patience: Duration?) { self.patience = patience }

    /// Notes a job's report.
    ///
    /// - Throws: ``CommandFailure`` when the job waits for too long.
    mutating func note(_ report: JobReport) throws {
        guard report.state == .paused else {
            if isPaused, report.state == .running { Terminal.note("\(report.job) goes on") }
            (isPaused, told) = (false, ToldSentences())
            return
        }
        if !isPaused || report.finishedUnits != finishedUnits {
            (since, finishedUnits) = (.now, report.finishedUnits)
        }
        isPaused = true
        if told.insert(report.message) {
            let limit = patience.map {
                " It is given up after \($0.components.seconds) s without progress (--patience)."
            }
            Terminal.note("\(report.job) is paused: \(report.message)\(limit ?? "")")
        }
        guard let patience, since.duration(to: .now) >= patience else { return }
        throw CommandFailure(
            .failed,
            "\(report.job): paused for \(patience.components.seconds) s without progress: \(report.message) Make room and "
                + "run it again, or let it wait longer with --patience SECONDS.")
    }
}

extension JobReport.State {
    /// Whether the job has not ended.
    var isUnderWay: Bool { self == .running || self == .paused }
}

extension JobReport {
    /// Throws the command's failure unless the job succeeded.
    func requireSuccess() throws {
        switch state {
        case .succeeded, .running, .paused: return
        case .badInput: throw CommandFailure(.badInput, "\(job): \(message)")
        case .failed: throw CommandFailure(.failed, "\(job): \(message)")
        case .cancelled: throw CommandFailure(.failed, "\(job): the job was cancelled.")
        }
    }
}
