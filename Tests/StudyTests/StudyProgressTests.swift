import Synchronization
import TestSupport
import Testing

@testable import Study

struct StudyProgressTests {
    private let shown = Recorder<StudyProgress.Report>()

    private func progress(total: Double, done: Double = 0) -> StudyProgress {
        let shown = shown
        return StudyProgress(total: total, done: done) { shown.append($0) }
    }

    @Test func `each change is shown with the activity and the share`() {
        let progress = progress(total: 10)
        progress.begin("training")
        progress.add(4)
        progress.begin("evaluating")
        progress.add(6)
        #expect(shown.values.map(\.activity) == ["training", "training", "evaluating", "evaluating"])
        #expect(shown.values.map(\.share) == [0, 0.4, 0.4, 1])
    }

    @Test func `the time left is unknown until a fiftieth is done, and 0 at the end`() throws {
        let progress = progress(total: 100)
        #expect(progress.report.secondsLeft == nil)
        progress.add(1)
        #expect(progress.report.secondsLeft == nil)
        progress.add(49)
        #expect(try #require(progress.report.secondsLeft) > 0)
        progress.add(50)
        #expect(progress.report.secondsLeft == 0)
    }

    @Test func `what an earlier run did counts to the share and not to the pace`() {
        let progress = progress(total: 10, done: 9)
        #expect(progress.report.share == 0.9)
        #expect(progress.report.secondsLeft == nil)
    }

    @Test func `a stage counts for its cost, however often what it needs was counted before`() {
        let progress = progress(total: 10)
        progress.beginStage(cost: 4)
        progress.add(4)
        progress.beginStage(cost: 2)
        progress.add(4, isNew: false)
        #expect(progress.report.share == 0.6)
        progress.add(2)
        #expect(progress.report.share == 0.6)
        progress.beginStage(cost: 4)
        progress.add(4)
        #expect(progress.report.share == 1)
    }

    @Test func `more than everything is everything`() {
        let progress = progress(total: 10)
        progress.add(11)
        #expect(progress.report.share == 1)
        #expect(progress.report.secondsLeft == 0)
    }
}

/// The values given to a callback, in order, from any thread.
final class Recorder<Value: Sendable>: Sendable {
    private let state = Mutex<[Value]>([])

    var values: [Value] { state.withLock { $0 } }

    func append(_ value: Value) { state.withLock { $0.append(value) } }
}
