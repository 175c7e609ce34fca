import Identifiers
import Scheduling
import Testing

@testable import CoordinatorService

@Suite struct JobClockTests {
    private let start = ContinuousClock.now
    private var clock = JobClock()

    private func work(_ done: Double, _ left: Double) -> JobWork { JobWork(doneSeconds: done, leftSeconds: left) }

    @Test mutating func `a job's time counts from its beginning, and stands still at its end`() {
        #expect(clock.elapsed("job-1", at: start) == nil)
        clock.begin("job-1", at: start)
        #expect(clock.elapsed("job-1", at: start + .seconds(5)) == .seconds(5))
        #expect(clock.endTime("job-1") == nil)
        clock.end("job-1", at: start + .seconds(7), time: "2026-11-24T09:00:00.000Z")
        #expect(clock.elapsed("job-1", at: start + .seconds(100)) == .seconds(7))
        #expect(clock.endTime("job-1") == "2026-11-24T09:00:00.000Z")
    }

    @Test mutating func `how long a job took is not known if it began before the coordinator`() {
        clock.begin("job-1", isResumed: true, at: start)
        #expect(clock.elapsed("job-1", at: start + .seconds(5)) == .seconds(5))
        clock.end("job-1", at: start + .seconds(7), time: "2026-11-24T09:00:00.000Z")
        #expect(clock.elapsed("job-1") == nil)
        #expect(clock.endTime("job-1") == "2026-11-24T09:00:00.000Z")
    }

    @Test mutating func `nothing is said of the time left before enough is done`() {
        clock.begin("job-1", at: start)
        #expect(clock.left("job-1", work(10, 10), at: start + .seconds(10)) == nil)
        clock.noteWork(of: "job-1", nil, at: start)
        #expect(clock.left("job-1", nil, at: start + .seconds(10)) == nil)
        #expect(clock.left("job-1", work(10, 10), at: start + .seconds(1)) == nil)
        #expect(clock.left("job-1", work(1, 99), at: start + .seconds(10)) == nil)
    }

    @Test mutating func `lanes that did a third of the work go on with two thirds`() {
        clock.begin("job-1", at: start)
        // A minute without workers says nothing about their pace.
        clock.noteWork(of: "job-1", nil, at: start + .seconds(60))
        clock.noteWork(of: "job-1", work(1, 1), at: start + .seconds(65))
        #expect(clock.left("job-1", work(40, 80), at: start + .seconds(70)) == .seconds(20))
    }

    @Test mutating func `what was done before a restart says nothing about the pace after it`() {
        clock.begin("job-1", at: start)
        clock.noteWork(of: "job-1", work(1000, 40), at: start)
        #expect(clock.left("job-1", work(1010, 30), at: start + .seconds(10)) == .seconds(30))
        #expect(clock.left("job-1", work(1000, 40), at: start + .seconds(10)) == nil)
    }

    @Test mutating func `of jobs that ended the latest thousand are remembered`() {
        for number in 0...1000 {
            let job = JobID(rawValue: "job-\(number)")
            clock.begin(job, at: start)
            clock.end(job, at: start + .seconds(number))
        }
        #expect(clock.elapsed("job-0") == nil)
        #expect(clock.elapsed("job-1") == .seconds(1))
        #expect(clock.elapsed("job-1000") == .seconds(1000))
    }
}
