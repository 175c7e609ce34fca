import Identifiers
import JobPlan
import Scheduling
import Testing
import UnitOperations

/// Workers that join, are heard, differ, and leave.
@Suite struct WorkerDialogueTests {
    private static let MiB: UInt64 = 1 << 20

    // MARK: - Signs of life

    @Test func `whatever a worker says is a sign of life`() throws {
        var scheduler = try CheckedScheduler.running()
        scheduler.advance(by: .seconds(1))
        #expect(scheduler.handle(.workerHeard("w1")).deadline == SchedulerInstant(sinceStart: .seconds(11)))
        scheduler.advance(by: .seconds(1))
        #expect(scheduler.start(.of(0), by: "w1").deadline == SchedulerInstant(sinceStart: .seconds(12)))
        scheduler.advance(by: .seconds(1))
        #expect(scheduler.finish(.of(0), by: .worker("w1")).deadline == SchedulerInstant(sinceStart: .seconds(13)))
        scheduler.advance(by: .seconds(1))
        #expect(scheduler.fail(.of(1), by: .worker("w1")).deadline == SchedulerInstant(sinceStart: .seconds(14)))
    }

    @Test func `a stranger's sign of life is no greeting`() {
        var scheduler = CheckedScheduler()
        #expect(scheduler.handle(.workerHeard("w1")) == .effects())
        #expect(scheduler.handle(.workerLeft("w1", reason: "bye")) == .effects())
        #expect(scheduler.scheduler.workerStatuses == [])
    }

    @Test func `the deadline is that of the worker that was not heard for the longest time`() {
        var scheduler = CheckedScheduler()
        _ = scheduler.handle(.workerJoined("w1", .ordinary))
        scheduler.advance(by: .seconds(4))
        #expect(scheduler.handle(.workerJoined("w2", .ordinary)).deadline == SchedulerInstant(sinceStart: .seconds(10)))
        #expect(scheduler.handle(.workerHeard("w1")).deadline == SchedulerInstant(sinceStart: .seconds(14)))
    }

    @Test func `a deadline that comes too early finds nobody`() throws {
        var scheduler = try CheckedScheduler.running()
        scheduler.advance(by: .milliseconds(9999))
        #expect(scheduler.handle(.deadlineReached) == .effects(deadline: .seconds(10)))
    }

    @Test func `a worker that was not heard in time is lost`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = scheduler.start(.of(0), by: "w1")
        scheduler.advance(by: .seconds(10))
        let failure = UnitFailure(
            kind: .workerLost,
            message: "worker \"w1\" was lost while it computed the unit (not heard for 10.0 seconds)"
        )
        #expect(
            scheduler.handle(.deadlineReached)
                == .effects(
                    records: [.unitFailed(LeasedUnit.of(0).unit, .worker("w1"), failure)],
                    forgotten: ["w1"],
                    notices: [
                        .workerLost("w1", reason: "not heard for 10.0 seconds", units: 2),
                        .unitRetried(.of(0), by: .worker("w1"), failure, failures: 1),
                    ]
                )
        )
    }

    @Test func `a unit that was not begun is given to another without a failure`() throws {
        var scheduler = try CheckedScheduler.running()
        let effects = scheduler.handle(.workerLeft("w1", reason: "told to stop"))
        #expect(effects.forgotten == ["w1"])
        #expect(effects.notices == [.workerLeft("w1", reason: "told to stop", units: 2)])
        #expect(
            scheduler.handle(.workerJoined("w2", .ordinary)).orders
                == [.lease("w2", .of(0, attempt: 2)), .lease("w2", .of(1, attempt: 2))]
        )
    }

    /// Three workers that are restarted for maintenance must not fail a job.
    @Test func `a farewell is no failure of the unit that was being computed`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = scheduler.start(.of(0), by: "w1")
        let effects = scheduler.handle(.workerLeft("w1", reason: "told to stop"))
        #expect(effects.forgotten == ["w1"])
        #expect(effects.notices == [.workerLeft("w1", reason: "told to stop", units: 2)])
        #expect(scheduler.handle(.workerJoined("w2", .ordinary)).orders.first == .lease("w2", .of(0, attempt: 2)))
    }

    /// A greeting is sent every half second until it is answered, so a busy coordinator receives several.
    @Test func `a greeting that is repeated changes nothing`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = scheduler.start(.of(0), by: "w1")
        scheduler.advance(by: .seconds(1))
        #expect(scheduler.handle(.workerJoined("w1", .ordinary)) == .effects(deadline: .seconds(11)))
        #expect(scheduler.scheduler.workerStatuses.map(\.startedUnits) == [1])
        #expect(scheduler.finish(.of(0), by: .worker("w1")).notices == [])
    }

    // MARK: - Attempts

    @Test func `a superseded attempt's failure says nothing about the attempt that runs`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = scheduler.start(.of(0), by: "w1")
        _ = scheduler.handle(.workerLeft("w1", reason: "cut"))
        _ = scheduler.handle(.workerJoined("w2", .ordinary))
        #expect(scheduler.fail(.of(0), by: .worker("w1")) == .effects(deadline: .seconds(10)))
        #expect(scheduler.fail(.of(0), by: .worker("w2")) == .effects(deadline: .seconds(10)))
        #expect(!scheduler.journal.contains { if case .unitFailed = $0 { true } else { false } })
    }

    @Test func `a superseded attempt that begins is not believed to be the one that runs`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = scheduler.handle(.workerLeft("w1", reason: "cut"))
        _ = scheduler.handle(.workerJoined("w2", .ordinary))
        _ = scheduler.start(.of(0), by: "w1")
        _ = scheduler.start(.of(0, attempt: 1), by: "w2")
        #expect(scheduler.scheduler.workerStatuses.map(\.startedUnits) == [0])
        _ = scheduler.start(.of(0, attempt: 2), by: "w2")
        #expect(scheduler.scheduler.workerStatuses.map(\.startedUnits) == [1])
    }

    @Test func `a stranger's result is used when it is the first`() throws {
        var scheduler = try CheckedScheduler.running()
        let effects = scheduler.finish(.of(0, attempt: 7), by: .worker("stranger"))
        #expect(
            effects
                == .effects(
                    records: [
                        .unitFinished(
                            // Its numeric regime is not known, so other jobs cannot use it.
                            LeasedUnit.of(0).unit, .worker("stranger"), .named("job-1/0"), .short, nil)
                    ],
                    orders: [.revoke("w1", .of(0))],
                    notices: [.lateResultUsed(.of(0, attempt: 7), by: .worker("stranger"))],
                    deadline: .seconds(10)
                )
        )
    }

    @Test func `a result that differs from the first is told and dropped`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = scheduler.finish(.of(0), by: .worker("w1"))
        #expect(scheduler.finish(.of(0), by: .worker("w1")) == .effects(deadline: .seconds(10)))
        #expect(
            scheduler.finish(.of(0), by: .worker("w1"), result: .named("other"))
                == .effects(
                    notices: [.resultsDiffer(.of(0), by: .worker("w1"))],
                    deadline: .seconds(10)
                )
        )
        #expect(scheduler.scheduler.result(of: LeasedUnit.of(0).unit) == .named("job-1/0"))
    }

    @Test func `numbers are compared bit by bit, so that an unknown one agrees with itself`() throws {
        var scheduler = try CheckedScheduler.running()
        func result(_ value: Double) -> UnitResult {
            UnitResult(blobs: [.named("blob")], measurements: [.smallestEigenvalue: [value, 1]])
        }
        _ = scheduler.finish(.of(0), by: .worker("w1"), result: result(.nan))
        #expect(scheduler.finish(.of(0), by: .worker("w1"), result: result(.nan)).notices == [])
        #expect(scheduler.finish(.of(0), by: .worker("w1"), result: result(0)).notices.count == 1)
        #expect(result(0).agrees(with: result(0)))
        #expect(!result(0).agrees(with: result(-0.0)))
    }

    @Test func `a result of a job or a unit that is not known is dropped`() throws {
        var scheduler = try CheckedScheduler.running()
        for unit in [LeasedUnit.of(0, job: "job-9"), .of(99), .of(4), .of(-1)] {
            #expect(scheduler.finish(unit, by: .worker("w1")) == .effects(deadline: .seconds(10)))
            #expect(scheduler.fail(unit, by: .worker("w1")) == .effects(deadline: .seconds(10)))
            #expect(scheduler.start(unit, by: "w1") == .effects(deadline: .seconds(10)))
        }
    }

    // MARK: - Failures

    @Test func `a unit that failed is tried where it has not failed`() throws {
        var scheduler = try CheckedScheduler.running(workers: ["w1", "w2"])
        let effects = scheduler.fail(.of(0), by: .worker("w1"))
        #expect(effects.orders.first == .lease("w2", .of(0, attempt: 2)))
    }

    /// w2 computes for an hour with the failed unit behind it; w1 is idle and fails at once.
    @Test func `a unit is not taken back by the worker that failed it`() throws {
        var scheduler = try CheckedScheduler.running(workers: ["w1", "w2"])
        _ = scheduler.start(.of(1, attempt: 2), by: "w2")
        _ = scheduler.start(.of(0), by: "w1")
        #expect(scheduler.fail(.of(0), by: .worker("w1")).orders == [.lease("w2", .of(0, attempt: 2))])
        #expect(scheduler.handle(.workerHeard("w1")).orders == [])
        #expect(scheduler.scheduler.workerStatuses.map(\.leasedUnits) == [0, 2])
        // After a failure there too, any worker may try again.
        let effects = scheduler.fail(.of(0, attempt: 2), by: .worker("w2"))
        #expect(effects.orders == [.lease("w1", .of(0, attempt: 3))])
    }

    @Test func `a worker without the memory is no second opinion`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = scheduler.handle(.workerJoined("tiny", WorkerCapacity(lanes: 1, memoryBytes: 1)))
        for attempt in 1...2 { _ = scheduler.fail(.of(0, attempt: attempt), by: .worker("w1")) }
        #expect(scheduler.fail(.of(0, attempt: 3), by: .worker("w1")).endedJobs == ["job-1"])
    }

    @Test func `failures are remembered through a restart`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = scheduler.fail(.of(0), by: .worker("w1"))
        _ = scheduler.fail(.of(0, attempt: 2), by: .worker("w1"))
        _ = scheduler.restart()
        _ = scheduler.handle(.workerJoined("w2", .ordinary))
        #expect(scheduler.fail(.of(0), by: .worker("w2")).endedJobs == ["job-1"])
    }

    /// Finished units that used the blobs stay finished, and nothing is made again that nobody reads.
    @Test func `a result whose blobs are gone after a restart is computed again when it is read`() throws {
        var scheduler = try CheckedScheduler.running()
        for unit in 0...1 { _ = scheduler.finish(.of(unit), by: .worker("w1")) }
        _ = scheduler.store(.of(1))
        _ = scheduler.restart()
        #expect(scheduler.handle(.workerJoined("w2", .ordinary)).orders == [])
        scheduler.advance(by: .seconds(10))
        _ = scheduler.handle(.workerHeard("w2"))
        #expect(scheduler.handle(.deadlineReached).orders == [.lease("w2", .of(0))])
        let effects = scheduler.finish(.of(0), by: .worker("w2"))
        #expect(effects.orders == [.collect("w2", .named("job-1/0"))])
        #expect(effects.coordinatorWork == [])
        #expect(scheduler.store(.of(0)).coordinatorWork == [.of(2)])
        scheduler.checkReplay()
    }

    // MARK: - Memory

    /// Both units of the job need a little more than 64 MiB.
    @Test func `a worker holds no more than its memory`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob(layers: 2))
        let effects = scheduler.handle(.workerJoined("w1", WorkerCapacity(lanes: 4, memoryBytes: 130 * Self.MiB)))
        #expect(effects.orders == [.lease("w1", .of(0)), .lease("w1", .of(1))])
        #expect(
            scheduler.finish(.of(0), by: .worker("w1")).orders
                == [.lease("w1", .of(2)), .collect("w1", .named("job-1/0"))])
    }

    @Test func `a unit that fits nobody waits, and is named`() throws {
        var scheduler = CheckedScheduler()
        let job = SmallJob(dimension: 4096)
        let memory = try job.plan().units[0].cost.memoryBytes
        _ = try scheduler.submit(job)
        #expect(
            scheduler.handle(.workerJoined("tiny", WorkerCapacity(lanes: 1, memoryBytes: memory - 1)))
                == .effects(
                    notices: [.workerJoined("tiny"), .noWorkerFits(LeasedUnit.of(0).unit, memoryBytes: memory)],
                    deadline: .seconds(10)
                )
        )
        let effects = scheduler.handle(.workerJoined("large", WorkerCapacity(lanes: 1, memoryBytes: memory)))
        #expect(effects.orders == [.lease("large", .of(0))])
        #expect(effects.notices == [.workerJoined("large")])
    }

    @Test func `a smaller unit goes past one that does not fit`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob(id: "wide", dimension: 4096))
        _ = try scheduler.submit(SmallJob(id: "narrow"))
        let effects = scheduler.handle(.workerJoined("tiny", WorkerCapacity(lanes: 1, memoryBytes: 140 * Self.MiB)))
        #expect(effects.orders == [.lease("tiny", .of(0, job: "narrow")), .lease("tiny", .of(1, job: "narrow"))])
    }

    @Test func `a queued unit is not taken over by a worker without the memory`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob(dimension: 4096))
        _ = scheduler.handle(.workerJoined("large", WorkerCapacity(lanes: 1, memoryBytes: 1 << 40)))
        #expect(scheduler.handle(.workerJoined("tiny", WorkerCapacity(lanes: 1, memoryBytes: 1))).orders == [])
    }

    // MARK: - Shares

    @Test func `workers are filled in the measure of their lanes`() throws {
        var scheduler = CheckedScheduler()
        _ = scheduler.handle(.workerJoined("big", WorkerCapacity(lanes: 3, memoryBytes: 1 << 40)))
        _ = scheduler.handle(.workerJoined("small", WorkerCapacity(lanes: 1, memoryBytes: 1 << 40)))
        let orders = try scheduler.submit(SmallJob(layers: 2)).orders
        // 0/3 and 0/1 are equal, so the first comes first; then 1/3 is compared with 0/1, and so on. The last unit
        // belongs to a layer that is at home on the small worker, whose only lane is busy.
        #expect(
            orders == [
                .lease("big", .of(0)), .lease("small", .of(2)), .lease("big", .of(1)), .lease("big", .of(3)),
            ]
        )
    }

    @Test func `lanes with nothing to do take over what others have not begun, the largest first`() throws {
        var scheduler = CheckedScheduler()
        _ = try scheduler.submit(SmallJob(id: "small", dimension: 4))
        _ = try scheduler.submit(SmallJob(id: "large", dimension: 400))
        _ = scheduler.handle(.workerJoined("w1", .ordinary))
        // w1 holds small/0, then small/1 and large/0; large/1 is left for w2, which has one more lane.
        let effects = scheduler.handle(.workerJoined("w2", WorkerCapacity(lanes: 2, memoryBytes: 1 << 30)))
        #expect(
            effects.orders == [
                .lease("w2", .of(1, job: "large")), .revoke("w1", .of(0, job: "large")),
                .lease("w2", .of(0, attempt: 2, job: "large")),
            ]
        )
        #expect(
            effects.notices == [
                .workerJoined("w2"),
                .unitMoved(LeasedUnit.of(0, job: "large").unit, from: "w1", to: "w2"),
            ]
        )
        #expect(scheduler.scheduler.workerStatuses.map(\.leasedUnits) == [2, 2])
    }

    @Test func `what a worker has begun is not taken from it`() throws {
        var scheduler = try CheckedScheduler.running()
        _ = scheduler.start(.of(0), by: "w1")
        _ = scheduler.start(.of(1), by: "w1")
        #expect(scheduler.handle(.workerJoined("w2", .ordinary)).orders == [])
    }
}
