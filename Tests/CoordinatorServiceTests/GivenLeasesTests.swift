import Identifiers
import JobPlan
import Testing
import WireProtocol

@testable import CoordinatorService

/// How a late message of a worker is told from a forged one.
struct GivenLeasesTests {
    private var given = GivenLeases()
    private let worker: WorkerID = "w"

    private func unit(_ number: Int, of job: JobID = "job-1") -> LeasedUnit {
        LeasedUnit(UnitReference(job: job, unit: UnitIndex(number)), Attempt(1))
    }

    private func blob(_ number: Int) -> BlobDigest {
        BlobDigest(sha256: [UInt8(number >> 8 & 0xff), UInt8(number & 0xff)] + [UInt8](repeating: 0, count: 30))
    }

    private mutating func judge(
        _ unit: LeasedUnit, of worker: WorkerID, isPossible: Bool?, isResumed: Bool
    ) -> GivenLeases.Verdict {
        given.judge(unit, of: worker, isPossible: isPossible, isResumed: isResumed)
    }

    private mutating func wasAsked(for blob: BlobDigest, of worker: WorkerID) -> Bool {
        given.wasAsked(for: blob, of: worker)
    }

    @Test mutating func `a worker speaks of what it was given, whatever became of it`() {
        given.greet(worker, lanes: 1, isReturn: false)
        given.greet("other", lanes: 1, isReturn: false)
        given.give(unit(1), to: worker)
        for isPossible in [true, false, nil] {
            #expect(judge(unit(1), of: worker, isPossible: isPossible, isResumed: false) == .given)
        }
        for (name, who) in [(unit(1), "other"), (unit(2), worker), (unit(1, of: "job-2"), worker), (unit(1), "nobody")]
        {
            for isPossible in [true, false, nil] {
                #expect(judge(name, of: who, isPossible: isPossible, isResumed: true) == .forged)
            }
        }
    }

    @Test mutating func `it still may when it greets again, on whatever connection`() {
        given.greet(worker, lanes: 1, isReturn: false)
        given.give(unit(1), to: worker)
        given.greet(worker, lanes: 1, isReturn: true)
        #expect(judge(unit(1), of: worker, isPossible: true, isResumed: false) == .given)
        // Nothing else is accepted, because all of its life is known.
        #expect(judge(unit(2), of: worker, isPossible: true, isResumed: true) == .forged)
    }

    @Test mutating func `who comes from an earlier life may speak of jobs of that life, and of as much as it can hold`()
    {
        given.greet(worker, lanes: 1, isReturn: true)
        #expect(judge(unit(1), of: worker, isPossible: true, isResumed: true) == .given)
        #expect(judge(unit(1), of: worker, isPossible: true, isResumed: false) == .forged)
        // The job has ended, never existed, or is another one of the same name.
        #expect(judge(unit(2), of: worker, isPossible: nil, isResumed: false) == .outdated)
        #expect(judge(unit(3), of: worker, isPossible: false, isResumed: false) == .outdated)
        for number in 4...GivenLeases.keptCount(lanes: 1) {
            #expect(judge(unit(number), of: worker, isPossible: nil, isResumed: false) == .outdated)
        }
        #expect(judge(unit(3), of: worker, isPossible: nil, isResumed: false) == .outdated)
        #expect(judge(unit(9999), of: worker, isPossible: nil, isResumed: false) == .forged)
    }

    @Test mutating func `what was forgotten of a long life is not held against a worker`() {
        given.greet(worker, lanes: 2, isReturn: false)
        for number in 0...GivenLeases.keptCount(lanes: 2) { given.give(unit(number), to: worker) }
        #expect(judge(unit(0), of: worker, isPossible: true, isResumed: false) == .given)
        #expect(judge(unit(0), of: worker, isPossible: nil, isResumed: false) == .outdated)
        #expect(judge(unit(0), of: worker, isPossible: false, isResumed: false) == .forged)
    }

    @Test mutating func `blobs are spoken of by who was asked for them`() {
        given.greet(worker, lanes: 1, isReturn: false)
        given.ask(for: blob(1), of: worker)
        #expect(wasAsked(for: blob(1), of: worker))
        #expect(!wasAsked(for: blob(2), of: worker))
        #expect(!wasAsked(for: blob(1), of: "nobody"))
        given.greet("back", lanes: 1, isReturn: true)
        for number in 0..<GivenLeases.keptCount(lanes: 1) { #expect(wasAsked(for: blob(number), of: "back")) }
        #expect(wasAsked(for: blob(0), of: "back"))
        #expect(!wasAsked(for: blob(9999), of: "back"))
    }

    @Test mutating func `who was given units of a job reads its files, and nobody else does`() {
        given.greet(worker, lanes: 1, isReturn: false)
        #expect(!given.mayRead(of: "job-1", worker))
        #expect(!given.mayRead(of: nil, worker))
        given.give(unit(1), to: worker)
        #expect(given.mayRead(of: "job-1", worker))
        #expect(given.mayRead(of: nil, worker))
        #expect(!given.mayRead(of: "job-2", worker))
        given.greet("back", lanes: 1, isReturn: true)
        #expect(given.mayRead(of: "job-2", "back"))
    }

    @Test mutating func `so many workers are remembered, and the one that was given something least lately is not`() {
        for number in 0...GivenLeases.workersMax {
            given.greet(WorkerID(rawValue: "w\(number)"), lanes: 1, isReturn: false)
            if number == 1 { given.give(unit(1), to: "w0") }
        }
        #expect(judge(unit(1), of: "w0", isPossible: true, isResumed: false) == .given)
        given.greet("w1", lanes: 1, isReturn: true)
        #expect(judge(unit(5), of: "w1", isPossible: true, isResumed: true) == .given)
    }

    @Test func `ten refused words a minute are logged`() {
        var log = RefusalLog()
        let start = ContinuousClock.now
        let lines = (0..<12).map { _ in log.note(at: start) }
        #expect(lines == [RefusalLog.Line](repeating: .told, count: 10) + [.last, .untold])
        let later = log.note(at: start + .seconds(60))
        #expect(later == .told)
    }
}
