import Identifiers
import Testing

@testable import CoordinatorService

@Suite struct ToldPausesTests {
    private let job: JobID = "job-1"
    private let other: JobID = "job-2"

    /// What happens to the pauses of jobs.
    private enum Event {
        case paused(JobID?, String)
        case settled(running: [JobID], paused: Set<JobID>)
    }

    /// The lines of the log.
    private func log(_ events: [Event]) -> [String] {
        var pauses = ToldPauses()
        return events.flatMap { event -> [String] in
            switch event {
            case .paused(let job, let reason): pauses.insert(reason, of: job) ? ["\(job ?? "all"): \(reason)"] : []
            case .settled(let running, let paused):
                pauses.takeEnded(among: running, isPaused: paused.contains).map {
                    "\($0.job) goes on, \($0.repetitions)"
                }
            }
        }
    }

    @Test func `the log tells a cause once for each job, and how often it repeated when the job goes on`() {
        #expect(
            log([
                .paused(job, "/a/0: open failed."), .paused(job, "/a/1: open failed."),
                .paused(job, "/a/1: no space is left."), .paused(other, "/a/2: open failed."),
                .settled(running: [job, other], paused: [job, other]),
                .settled(running: [job, other], paused: [other]),
                .settled(running: [job, other], paused: [other]), .paused(job, "/a/3: open failed."),
            ]) == [
                "job-1: /a/0: open failed.", "job-1: /a/1: no space is left.", "job-2: /a/2: open failed.",
                "job-1 goes on, 1", "job-1: /a/3: open failed.",
            ])
    }

    @Test func `a cause of all jobs is told again after the last of them went on`() {
        #expect(
            log([
                .paused(nil, "/a/0: open failed."), .settled(running: [job, other], paused: [other]),
                .paused(nil, "/a/1: open failed."), .settled(running: [job, other], paused: []),
                .paused(nil, "/a/2: open failed."),
            ]) == ["all: /a/0: open failed.", "all: /a/2: open failed."])
    }

    @Test func `a job that ended is forgotten`() {
        #expect(
            log([
                .paused(job, "/a/0: open failed."), .settled(running: [other], paused: []),
                .paused(job, "/a/0: open failed."),
            ]) == ["job-1: /a/0: open failed.", "job-1: /a/0: open failed."])
    }
}
