import Identifiers
import JobPlan
import Scheduling
import Testing
import UnitOperations

/// A scheduler that runs for months: what it must not accumulate, and which units it must not starve.
struct LongRunTests {
    private static let MiB: UInt64 = 1 << 20

    // MARK: - Jobs that have ended

    @Test func `of a job that has ended a summary is kept, also when the journal is read without its plan`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = scheduler.finish(.of(0), by: .worker("w1"))
        _ = scheduler.handle(.jobCancelled("job-1"))
        let status = try #require(scheduler.scheduler.status(of: "job-1"))
        #expect(status.outcome == .cancelled)
        #expect(status.finishedUnits == 1)
        #expect(status.totalUnits == 4)
        #expect(scheduler.scheduler.plan(of: "job-1") == nil)
        #expect(scheduler.scheduler.result(of: LeasedUnit.of(0).unit) == nil)
        #expect(scheduler.scheduler.header(of: "job-1")?.specPath == "/jobs/job-1.yaml")

        var fresh = Scheduler()
        for record in scheduler.journal {
            guard case .jobAccepted(var header) = record else {
                fresh.apply(record)
                continue
            }
            header.unitCount = 4
            fresh.apply(.jobAccepted(header))
        }
        let replayed = try #require(fresh.status(of: "job-1"))
        #expect(replayed.outcome == .cancelled)
        #expect(replayed.finishedUnits == 1)
        #expect(replayed.totalUnits == 4)
        #expect(fresh.violatedInvariants() == [])
    }

    @Test func `a journal that does not say how many units were finished is counted`() {
        var scheduler = Scheduler()
        let header = SmallJob().header
        scheduler.apply(.jobAccepted(header))
        for unit in [0, 1, 1] {
            scheduler.apply(
                .unitFinished(LeasedUnit.of(unit).unit, .worker("w1"), .named("\(unit)"), .short, nil))
        }
        scheduler.apply(.jobEnded("job-1", .succeeded, finishedUnits: nil))
        #expect(scheduler.status(of: "job-1")?.finishedUnits == 2)
        #expect(scheduler.status(of: "job-1")?.fraction == 1)
    }

    @Test func `the oldest jobs that have ended are forgotten, those that run are not`() throws {
        var settings = SchedulerSettings()
        settings.endedJobsMax = 2
        var scheduler = CheckedScheduler(settings: settings)
        _ = try scheduler.submit(SmallJob(id: "runs"))
        for number in 1...4 {
            let id = JobID(rawValue: "job-\(number)")
            _ = try scheduler.submit(SmallJob(id: id))
            _ = scheduler.handle(.jobCancelled(id))
        }
        #expect(scheduler.scheduler.jobStatuses.map(\.id) == ["runs", "job-3", "job-4"])
    }

    // MARK: - The coordinator's store

    @Test func `blobs that no running job reads leave the store with the job that ends`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob(id: "first"))
        _ = try scheduler.submit(SmallJob(id: "second"))
        _ = scheduler.handle(.workerJoined("w1", WorkerCapacity(lanes: 4, memoryBytes: 1 << 30)))
        for job in ["first", "second"] as [JobID] {
            _ = scheduler.finish(.of(0, job: job), by: .worker("w1"))
            _ = scheduler.store(.of(0, job: job))
        }
        let effects = scheduler.handle(.jobCancelled("first"))
        #expect(effects.unneeded == [.named("first/0")])
        #expect(!effects.clearsStore)
        #expect(scheduler.handle(.jobCancelled("second")).clearsStore)
    }

    // MARK: - Waiting

    /// A worker asks the coordinator for another worker's factor, and its unit then waits for a full disk.
    @Test func `a unit that waits for a blob which the coordinator has still to collect keeps its lease`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob(tasks: 2, outputs: ["regularizer"]))
        _ = scheduler.handle(.workerJoined("w1", WorkerCapacity(lanes: 4, memoryBytes: 1 << 30)))
        for unit in 0...3 { _ = scheduler.finish(.of(unit), by: .worker("w1")) }
        // The layer's sum is in progress at the home of its factors, and asks for a factor that is gone there.
        let sum = LeasedUnit.of(4)
        _ = scheduler.start(sum, by: "w1")
        _ = scheduler.handle(.blobWanted(.named("job-1/0")))
        for _ in 0..<200 {
            scheduler.advance(by: .seconds(1))
            _ = scheduler.handle(.collectionPaused(.named("job-1/0"), reason: "the disk is full"))
            let effects = scheduler.handle(.workerProgressed("w1", [UnitSteps(sum.unit, sum.attempt, steps: 0)]))
            #expect(effects.records == [])
            #expect(scheduler.handle(.deadlineReached).records == [])
        }
        #expect(scheduler.scheduler.status(of: "job-1")?.pauseReason == "the disk is full")
        // After the factor arrived, the unit must make progress again.
        _ = scheduler.store(.of(0))
        #expect(scheduler.scheduler.status(of: "job-1")?.pauseReason == nil)
        var records: [JournalRecord] = []
        for _ in 0..<200 where records.isEmpty {
            scheduler.advance(by: .seconds(1))
            _ = scheduler.handle(.workerProgressed("w1", [UnitSteps(sum.unit, sum.attempt, steps: 0)]))
            records = scheduler.handle(.deadlineReached).records
        }
        guard case .unitFailed(sum.unit, .worker("w1"), let failure)? = records.first else {
            Issue.record("the unit's lease does not end: \(records)")
            return
        }
        #expect(failure.kind == .workerLost)
    }

    @Test func `units behind one that computes for long keep their leases`() throws {
        var scheduler = try CheckedScheduler.running()
        let first = LeasedUnit.of(0)
        _ = scheduler.start(first, by: "w1")
        for step in 1...40 {
            scheduler.advance(by: .seconds(5))
            _ = scheduler.handle(
                .workerProgressed("w1", [UnitSteps(first.unit, first.attempt, steps: UInt64(step))]))
            #expect(scheduler.handle(.deadlineReached).notices == [])
        }
    }

    @Test func `a unit that rests for a full disk rests longer each time, and its job is paused meanwhile`() throws {
        var scheduler = try CheckedScheduler.running()
        var lease = LeasedUnit.of(0)
        for seconds in [2, 4, 8, 16, 32, 64, 64] {
            _ = scheduler.fail(lease, by: .worker("w1"), kind: .noSpace, "the disk is full")
            let failed = lease
            var waited = 0
            var hasRested = false
            while lease == failed, waited < 100 {
                scheduler.advance(by: .seconds(1))
                waited += 1
                _ = scheduler.handle(.workerHeard("w1"))
                let orders = scheduler.handle(.deadlineReached).orders
                for case .lease(_, let next) in orders where next.unit == failed.unit { lease = next }
                let isResting = scheduler.scheduler.unitCounts.contains { $0.key.place == .resting && $0.value > 0 }
                if !isResting, !hasRested {
                    hasRested = true
                    #expect(waited == seconds)
                }
            }
            #expect(lease.attempt > failed.attempt)
            #expect(scheduler.scheduler.status(of: "job-1")?.pauseReason == "the disk is full")
        }
        _ = scheduler.finish(lease, by: .worker("w1"))
        #expect(scheduler.scheduler.status(of: "job-1")?.pauseReason == nil)
    }

    // MARK: - Memory

    @Test func `that a unit fits no worker is told once, and again when the largest worker is another`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob(dimension: 4096))
        func notices(_ effects: SchedulerEffects) -> Int {
            effects.notices.count { if case .noWorkerFits = $0 { true } else { false } }
        }
        #expect(notices(scheduler.handle(.workerJoined("w1", WorkerCapacity(lanes: 1, memoryBytes: Self.MiB)))) == 1)
        #expect(notices(scheduler.handle(.blobsDropped("w1", []))) == 0)
        #expect(
            notices(scheduler.handle(.workerJoined("w2", WorkerCapacity(lanes: 1, memoryBytes: 2 * Self.MiB)))) == 1)
    }

    /// The wide job's units need all of the worker's memory; the narrow jobs' units always use a part of it.
    ///
    /// The first unit of each narrow layer passes the wide unit; the second one follows at home.
    @Test func `a large unit is not passed over by small ones for ever`() throws {
        var settings = SchedulerSettings()
        settings.passesMax = 3
        var scheduler = CheckedScheduler(settings: settings)
        let wide = SmallJob(id: "wide", dimension: 4096)
        let memory = try wide.plan().units[0].cost.memoryBytes
        var held: [LeasedUnit] = []
        func leases(_ effects: SchedulerEffects) -> [LeasedUnit] {
            effects.orders.compactMap { if case .lease(_, let lease) = $0 { lease } else { nil } }
        }
        _ = try scheduler.submit(SmallJob(id: "first"))
        held += leases(scheduler.handle(.workerJoined("w1", WorkerCapacity(lanes: 1, memoryBytes: memory))))
        held += leases(try scheduler.submit(wide))
        held += leases(try scheduler.submit(SmallJob(id: "narrow", layers: 20)))
        #expect(held.map(\.unit.job) == ["first", "first", "narrow"])
        var passed = 1
        while let lease = held.first, lease.unit.job != "wide" {
            held.removeFirst()
            let next = leases(scheduler.finish(lease, by: .worker("w1")))
            passed += next.count { $0.unit.job == "narrow" }
            held += next
        }
        #expect(held.map(\.unit.job) == ["wide"])
        #expect(passed <= 2 * settings.passesMax)
    }

    // MARK: - What workers say

    /// The state was restored from a backup or emptied, and a worker still computes for a job of the earlier state.
    @Test func `a result for another job of the same name is not taken`() throws {
        var scheduler = CheckedScheduler()
        let job = SmallJob()
        var header = job.header
        header.attemptMark = 77
        _ = scheduler.handle(.jobSubmitted(header, try job.plan()))
        let orders = scheduler.handle(.workerJoined("w1", .ordinary)).orders
        let first = Attempt(beforeFirstWithMark: 77).next
        #expect(orders.first == .lease("w1", LeasedUnit(LeasedUnit.of(0).unit, first)))
        #expect("\(first)" == "1")
        for strange in [Attempt(1), Attempt(beforeFirstWithMark: 76).next, Attempt(beforeFirstWithMark: 78).next] {
            let lease = LeasedUnit(LeasedUnit.of(0).unit, strange)
            #expect(scheduler.finish(lease, by: .worker("w2"), result: .named("strange")).records == [])
        }
        // An attempt from before a restart of this coordinator.
        let late = LeasedUnit(LeasedUnit.of(0).unit, first.next.next.next)
        #expect(scheduler.finish(late, by: .worker("w2")).records.count == 1)
    }

    @Test func `a worker cannot finish what only the coordinator does`() throws {
        var scheduler = try CheckedScheduler.running()
        let effects = scheduler.finish(.of(3), by: .worker("w1"), result: UnitResult())
        #expect(effects.records == [])
        #expect(scheduler.scheduler.status(of: "job-1")?.finishedUnits == 0)
    }

    @Test func `sizes that nobody can have do not end the counting`() throws {
        var scheduler = try CheckedScheduler.running()
        for unit in 0...1 {
            let blob = BlobReference(digest: .named("\(unit)"), byteCount: .max / 2 + 1)
            _ = scheduler.finish(.of(unit), by: .worker("w1"), result: UnitResult(blobs: [blob]))
        }
        #expect(scheduler.scheduler.factorBytes.count == 2)
    }
}
