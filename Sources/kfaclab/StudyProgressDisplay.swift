import Console
import Study
import Synchronization

/// Shows the progress of a study.
final class StudyProgressDisplay: Sendable {
    private struct State {
        var output = ProgressOutput()
        var timeLeft = TimeLeft()
        var last: ProgressLine?
    }

    private let state = Mutex(State())

    func show(_ report: StudyProgress.Report) {
        state.withLock { state in
            let left = state.timeLeft.update(report.secondsLeft).map { [Self.text(ofSecondsLeft: $0)] } ?? []
            let line = ProgressLine(
                name: "study", share: report.share, figures: ["\(Int(100 * report.share)) %"] + left,
                activity: report.activity)
            state.output.show(line)
            state.last = line
        }
    }

    /// Ends the line, once.
    func end() {
        state.withLock { state in
            if let last = state.last { state.output.show(last, isLast: true) }
            state.last = nil
        }
    }

    private static func text(ofSecondsLeft seconds: Double) -> String {
        seconds < 90 ? "\(Int(seconds)) s left" : "\(Int((seconds / 60).rounded())) min left"
    }
}
