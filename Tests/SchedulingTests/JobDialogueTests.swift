import Identifiers
import JobPlan
import Testing
import UnitOperations

@testable import Scheduling

extension SchedulerEffects {
    /// Effects with the given actions and no others.
    static func effects(
        records: [JournalRecord] = [],
        forgotten: [WorkerID] = [],
        orders: [AddressedOrder] = [],
        coordinatorWork: [LeasedUnit] = [],
        clearsStore: Bool = false,
        endedJobs: [JobID] = [],
        notices: [SchedulerNotice] = [],
        deadline: Duration? = nil
    ) -> SchedulerEffects {
        var effects = SchedulerEffects()
        effects.records = records
        effects.forgotten = forgotten
        effects.orders = orders
        effects.coordinatorWork = coordinatorWork
        effects.clearsStore = clearsStore
        effects.endedJobs = endedJobs
        effects.notices = notices
        effects.deadline = deadline.map { SchedulerInstant(sinceStart: $0) }
        return effects
    }
}

extension AddressedOrder {
    static func lease(_ worker: WorkerID, _ unit: LeasedUnit) -> AddressedOrder { .init(.lease(unit), to: worker) }
    static func revoke(_ worker: WorkerID, _ unit: LeasedUnit) -> AddressedOrder { .init(.revoke(unit), to: worker) }
    static func collect(_ worker: WorkerID, _ blob: BlobDigest) -> AddressedOrder { .init(.collect(blob), to: worker) }

    /// The unit that the scheduler leases.
    var lease: LeasedUnit? {
        if case .lease(let unit) = order { unit } else { nil }
    }
}

extension LeasedUnit {
    /// A unit of a job with an attempt.
    static func of(_ unit: Int, attempt: Int = 1, job: JobID = "job-1") -> LeasedUnit {
        LeasedUnit(UnitReference(job: job, unit: UnitIndex(unit)), Attempt(attempt))
    }
}

extension CheckedScheduler {
    /// A worker reports that it has started a unit.
    mutating func start(_ lease: LeasedUnit, by worker: WorkerID) -> SchedulerEffects {
        handle(.unitStarted(lease, by: worker))
    }

    /// A unit's result arrives; its name is the unit's by default.
    mutating func finish(
        _ lease: LeasedUnit,
        by executor: UnitExecutorName,
        result: UnitResult? = nil
    ) -> SchedulerEffects {
        let result = result ?? (executor == .coordinator ? UnitResult() : .named("\(lease.unit)"))
        return handle(.unitFinished(lease, by: executor, result, .short))
    }

    /// A blob arrives in the coordinator's store; its name is that of its unit.
    mutating func store(_ lease: LeasedUnit) -> SchedulerEffects { handle(.blobStored(.named("\(lease.unit)"))) }

    /// A unit fails.
    mutating func fail(
        _ lease: LeasedUnit,
        by executor: UnitExecutorName,
        kind: UnitFailure.Kind = .world,
        _ message: String = "no"
    ) -> SchedulerEffects {
        handle(.unitFailed(lease, by: executor, UnitFailure(kind: kind, message: message)))
    }

    /// A scheduler with one job and some ordinary workers that hold their first units.
    static func running(
        _ job: SmallJob = SmallJob(), workers: [WorkerID] = ["w1"],
        settings: SchedulerSettings = CheckedScheduler.settings
    ) throws -> CheckedScheduler {
        var scheduler = CheckedScheduler(settings: settings)
        _ = try scheduler.submit(job)
        for worker in workers { _ = scheduler.handle(.workerJoined(worker, .ordinary)) }
        return scheduler
    }
}

/// Jobs from their submission to their end.
@Suite struct JobDialogueTests {
    private let job = SmallJob()
    private func finished(_ unit: Int, by executor: UnitExecutorName) -> JournalRecord {
        let unit = UnitReference(job: "job-1", unit: UnitIndex(unit))
        let result = executor == .coordinator ? UnitResult() : .named("\(unit)")
        let key = try? job.key(of: unit.unit)
        return .unitFinished(unit, executor, result, .short, key.map { ResultKey($0, in: .unnamed) })
    }

    @Test func `a job is recorded before anything is done for it`() throws {
        var scheduler = CheckedScheduler()
        #expect(try scheduler.submit(job) == .effects(records: [.jobAccepted(job.header)]))
    }

    @Test func `a job goes from its factors to their file and is published`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(job)
        #expect(
            scheduler.handle(.workerJoined("w1", .ordinary))
                == .effects(
                    orders: [.lease("w1", .of(0)), .lease("w1", .of(1))],
                    notices: [.workerJoined("w1")],
                    deadline: .seconds(10)
                )
        )
        #expect(scheduler.start(.of(0), by: "w1") == .effects(deadline: .seconds(10)))
        #expect(
            scheduler.finish(.of(0), by: .worker("w1"))
                == .effects(
                    records: [finished(0, by: .worker("w1"))], orders: [.collect("w1", .named("job-1/0"))],
                    deadline: .seconds(10))
        )
        #expect(
            scheduler.finish(.of(1), by: .worker("w1"))
                == .effects(
                    records: [finished(1, by: .worker("w1"))],
                    orders: [.collect("w1", .named("job-1/1"))],
                    deadline: .seconds(10)
                )
        )
        #expect(scheduler.store(.of(1)) == .effects(deadline: .seconds(10)))
        #expect(scheduler.store(.of(0)) == .effects(coordinatorWork: [.of(2)], deadline: .seconds(10)))
        #expect(
            scheduler.finish(.of(2), by: .coordinator)
                == .effects(
                    records: [finished(2, by: .coordinator)],
                    coordinatorWork: [.of(3)],
                    deadline: .seconds(10)
                )
        )
        #expect(
            scheduler.finish(.of(3), by: .coordinator)
                == .effects(
                    records: [finished(3, by: .coordinator), .jobEnded("job-1", .succeeded, finishedUnits: 4)],
                    clearsStore: true,
                    endedJobs: ["job-1"],
                    deadline: .seconds(10)
                )
        )
        scheduler.checkReplay()
    }

    @Test func `a job that is submitted twice is one job`() throws {
        var scheduler = try CheckedScheduler.running()
        #expect(try scheduler.submit(job) == .effects(deadline: .seconds(10)))
        #expect(scheduler.scheduler.jobStatuses.count == 1)
    }

    @Test func `bad input ends the job at once, whoever says so`() throws {
        var scheduler = try CheckedScheduler.running(workers: ["w1", "w2"])
        let failure = UnitFailure(kind: .badInput, message: "a.safetensors: tensor \"fc0.input\" holds NaN")
        #expect(
            scheduler.fail(.of(0), by: .worker("w1"), kind: .badInput, failure.message)
                == .effects(
                    records: [
                        .unitFailed(LeasedUnit.of(0).unit, .worker("w1"), failure),
                        .jobEnded("job-1", .failed(failure), finishedUnits: 0),
                    ],
                    orders: [.revoke("w2", .of(1, attempt: 2))],
                    clearsStore: true,
                    endedJobs: ["job-1"],
                    deadline: .seconds(10)
                )
        )
        #expect(scheduler.scheduler.status(of: "job-1")?.outcome == .failed(failure))
        scheduler.checkReplay()
    }

    @Test func `bad input of a coordinator's unit ends the job too`() throws {
        var scheduler = try CheckedScheduler.running()
        for unit in 0...1 {
            _ = scheduler.finish(.of(unit), by: .worker("w1"))
            _ = scheduler.store(.of(unit))
        }
        let effects = scheduler.fail(.of(2), by: .coordinator, kind: .badInput, "shapes")
        #expect(effects.endedJobs == ["job-1"])
    }

    @Test func `a coordinator's unit that fails is tried three times`() throws {
        var scheduler = try CheckedScheduler.running()
        for unit in 0...1 {
            _ = scheduler.finish(.of(unit), by: .worker("w1"))
            _ = scheduler.store(.of(unit))
        }
        #expect(scheduler.fail(.of(2), by: .coordinator, "disk full").coordinatorWork == [.of(2, attempt: 2)])
        #expect(
            scheduler.fail(.of(2, attempt: 2), by: .coordinator, "disk full").coordinatorWork == [.of(2, attempt: 3)]
        )
        let effects = scheduler.fail(.of(2, attempt: 3), by: .coordinator, "disk full")
        let message =
            "factor file of task \"a\": gave up after 3 failures, the last on coordinator: disk full"
        let failure = UnitFailure(kind: .world, message: message)
        #expect(effects.records.last == .jobEnded("job-1", .failed(failure), finishedUnits: 2))
    }

    @Test func `a job that is cancelled takes its units back`() throws {
        var scheduler = try CheckedScheduler.running(workers: ["w1", "w2"])
        #expect(
            scheduler.handle(.jobCancelled("job-1"))
                == .effects(
                    records: [.jobEnded("job-1", .cancelled, finishedUnits: 0)],
                    orders: [.revoke("w1", .of(0)), .revoke("w2", .of(1, attempt: 2))],
                    clearsStore: true,
                    endedJobs: ["job-1"],
                    deadline: .seconds(10)
                )
        )
        #expect(scheduler.scheduler.workerStatuses.map(\.leasedUnits) == [0, 0])
        #expect(scheduler.handle(.jobCancelled("job-1")) == .effects(deadline: .seconds(10)))
        #expect(scheduler.finish(.of(0), by: .worker("w1")) == .effects(deadline: .seconds(10)))
        scheduler.checkReplay()
    }

    @Test func `a job that is not known cannot be cancelled`() {
        var scheduler = CheckedScheduler()
        #expect(scheduler.handle(.jobCancelled("job-9")) == .effects())
    }

    @Test func `work of a cancelled job keeps the coordinator's lane until it is done`() throws {
        var settings = SchedulerSettings()
        settings.coordinatorLanes = 1
        var scheduler = CheckedScheduler(settings: settings)
        for job: JobID in ["job-1", "job-2"] {
            _ = try scheduler.submit(SmallJob(id: job))
            for unit in 0...1 {
                _ = scheduler.finish(.of(unit, job: job), by: .worker("stranger"))
                _ = scheduler.store(.of(unit, job: job))
            }
        }
        #expect(scheduler.handle(.jobCancelled("job-1")).coordinatorWork == [])
        #expect(scheduler.finish(.of(2, job: "job-1"), by: .coordinator).coordinatorWork == [.of(2, job: "job-2")])
    }

    @Test func `jobs are served in the order of their submission, and none waits for another`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob(id: "second"))
        _ = try scheduler.submit(SmallJob(id: "first", layers: 8))
        let effects = scheduler.handle(.workerJoined("w1", WorkerCapacity(lanes: 2, memoryBytes: 1 << 30)))
        #expect(
            effects.orders == [
                .lease("w1", .of(0, job: "second")), .lease("w1", .of(1, job: "second")),
                .lease("w1", .of(0, job: "first")),
                .lease("w1", .of(1, job: "first")),
            ]
        )
        #expect(scheduler.fail(.of(0, job: "second"), by: .worker("w1"), kind: .badInput).endedJobs == ["second"])
        #expect(scheduler.scheduler.status(of: "first")?.outcome == nil)
        #expect(scheduler.scheduler.jobStatuses.map(\.id) == ["second", "first"])
    }

    @Test func `within a job the unit with the longest way to the end goes first`() throws {
        // Units 0–3 are factors of 24 rows; a sum of parts lengthens the path of a giant factor.
        let plan = try SmallJob(layers: 2).plan()
        #expect(plan.units[0].cost.nominalSeconds == plan.units[3].cost.nominalSeconds)
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob(tasks: 2, layers: 1, outputs: ["regularizer", "inverses"]))
        let effects = scheduler.handle(.workerJoined("w1", WorkerCapacity(lanes: 1, memoryBytes: 1 << 30)))
        #expect(effects.orders == [.lease("w1", .of(0)), .lease("w1", .of(1)), .lease("w1", .of(2))])
    }

    @Test func `a job's progress is told in units and in cost`() throws {
        var scheduler = try CheckedScheduler.running()
        let plan = try job.plan()
        #expect(
            scheduler.scheduler.status(of: "job-1")
                == Scheduler.JobStatus(
                    id: "job-1",
                    specPath: "/jobs/job-1.yaml",
                    submittedAt: 0,
                    finishedUnits: 0,
                    totalUnits: 4,
                    fraction: 0,
                    outcome: nil
                )
        )
        _ = scheduler.finish(.of(0), by: .worker("w1"))
        let total = plan.units.reduce(0) { $0 + $1.cost.nominalSeconds }
        let status = try #require(scheduler.scheduler.status(of: "job-1"))
        #expect(status.finishedUnits == 1)
        #expect(abs(status.fraction - plan.units[0].cost.nominalSeconds / total) < 1e-4)
        #expect(scheduler.scheduler.status(of: "job-9") == nil)
    }

    @Test func `what is known of a job and its units can be asked`() throws {
        var scheduler = try CheckedScheduler.running()
        let unit = LeasedUnit.of(0).unit
        #expect(scheduler.scheduler.result(of: unit) == nil)
        #expect(scheduler.scheduler.execution(of: unit) == nil)
        _ = scheduler.finish(.of(0), by: .worker("w1"))
        #expect(scheduler.scheduler.result(of: unit) == .named("job-1/0"))
        let execution = try #require(scheduler.scheduler.execution(of: unit))
        #expect(execution.executor == .worker("w1"))
        #expect(execution.1 == .short)
        #expect(scheduler.scheduler.header(of: "job-1") == job.header)
        #expect(try scheduler.scheduler.plan(of: "job-1") == job.plan())
        #expect(scheduler.scheduler.result(of: UnitReference(job: "job-1", unit: UnitIndex(99))) == nil)
    }

    @Test func `the same job is recognised while it runs`() throws {
        var scheduler = try CheckedScheduler.running()
        #expect(scheduler.scheduler.runningJob(fingerprint: job.header.fingerprint) == "job-1")
        #expect(scheduler.scheduler.runningJob(fingerprint: .named("another")) == nil)
        _ = scheduler.handle(.jobCancelled("job-1"))
        #expect(scheduler.scheduler.runningJob(fingerprint: job.header.fingerprint) == nil)
    }
}
