import Console
import Study
import Synchronization

/// Shows how far a study is: one line that is drawn over on a terminal, a line for each activity elsewhere.
final class ProgressLine: Sendable {
    private let last = Mutex("")

    func show(_ report: StudyProgress.Report) {
        let isNew = last.withLock { last in
            defer { last = report.activity }
            return last != report.activity
        }
        if Terminal.isInteractive { Terminal.redraw(text(report)) } else if isNew { Terminal.note(text(report)) }
    }

    /// Leaves the line; once.
    func end() {
        let isShown = last.withLock { last in
            defer { last = "" }
            return !last.isEmpty
        }
        if Terminal.isInteractive, isShown { Terminal.note("") }
    }

    private func text(_ report: StudyProgress.Report) -> String {
        var text = "\(Int(100 * report.share)) % · \(report.activity)"
        if let seconds = report.secondsLeft {
            text += seconds < 90 ? " · \(Int(seconds)) s left" : " · \(Int((seconds / 60).rounded())) min left"
        }
        return text
    }
}
