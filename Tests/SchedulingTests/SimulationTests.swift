import Identifiers
import JobPlan
import Scheduling
import TestSupport
import Testing

/// Random clusters: `SEED=… swift test --filter SimulationTests` replays one exactly.
@Suite struct SimulationTests {
    private static func plans() throws -> [(job: SmallJob, plan: JobPlan)] {
        let jobs = [
            SmallJob(id: "job-1", tasks: 2, layers: 2, outputs: ["factors", "regularizer", "inverses"]),
            SmallJob(id: "job-2", parts: 5), SmallJob(id: "job-3", tasks: 3, layers: 1, outputs: ["regularizer"]),
        ]
        return try jobs.map { ($0, try $0.plan()) }
    }

    @Test func `whatever happens, every job comes to an end that its journal explains`() throws {
        let plans = try Self.plans()
        var outcomes: [String: Int] = [:]
        var stuckCount = 0
        let runs = forEachSeed(in: 0..<300) { seed, random in
            // A few that do not end are enough to see why.
            guard stuckCount < 3 else { return }
            var simulation = Simulation(seed: seed, random: random, plans: plans)
            guard simulation.run() else {
                stuckCount += 1
                Issue.record("SEED=\(seed): \(simulation.scheduler.scheduler.jobStatuses) did not end")
                return
            }
            simulation.scheduler.checkReplay()
            for (job, plan) in plans { check(job.id, plan, simulation, seed, &outcomes) }
        }
        // Runs that all end alike would have tested little.
        #expect(runs == 1 || Set(outcomes.keys) == ["succeeded", "failed", "cancelled"], "\(outcomes)")
    }

    private func check(
        _ job: JobID,
        _ plan: JobPlan,
        _ simulation: Simulation,
        _ seed: UInt64,
        _ outcomes: inout [String: Int]
    ) {
        let scheduler = simulation.scheduler.scheduler
        let units = plan.units.map { UnitReference(job: job, unit: $0.index) }
        for unit in units {
            guard let result = scheduler.result(of: unit) else { continue }
            #expect(result == Simulation.result(of: unit), "SEED=\(seed): \(unit)")
        }
        switch scheduler.status(of: job)?.outcome {
        case .succeeded:
            outcomes["succeeded", default: 0] += 1
            #expect(units.allSatisfy { scheduler.result(of: $0) != nil }, "SEED=\(seed): \(job)")
            #expect(simulation.poisonous.union(simulation.unsound).isDisjoint(with: units), "SEED=\(seed): \(job)")
        case .cancelled:
            outcomes["cancelled", default: 0] += 1
            #expect(simulation.cancelled.contains(job), "SEED=\(seed): \(job)")
        case .failed(let failure):
            outcomes["failed", default: 0] += 1
            let isExplained =
                failure.kind == .badInput
                ? !simulation.unsound.isDisjoint(with: units)
                : units.contains { failures(of: $0, in: simulation.scheduler.journal) >= 3 }
            #expect(isExplained, "SEED=\(seed): \(job) failed: \(failure)")
        case nil: Issue.record("SEED=\(seed): \(job) has not ended")
        }
    }

    private func failures(of unit: UnitReference, in journal: [JournalRecord]) -> Int {
        journal.count { record in
            if case .unitFailed(unit, _, _) = record { true } else { false }
        }
    }

    @Test func `the same events give the same answers`() throws {
        let plans = try Self.plans()
        forEachSeed(in: 0..<40) { seed, random in
            var first = Simulation(seed: seed, random: random, plans: plans)
            var second = Simulation(seed: seed, random: random, plans: plans)
            let hasEnded = (first.run(), second.run())
            #expect(hasEnded == (true, true), "SEED=\(seed)")
            #expect(first.answers == second.answers, "SEED=\(seed)")
        }
    }

    @Test func `in a kind world no unit fails that is not spoilt`() throws {
        let plans = try Self.plans()
        forEachSeed(in: 0..<40) { seed, random in
            // A budget of faults follows from the seed; multiples of 25 have none.
            var simulation = Simulation(seed: seed * 25, random: random, plans: plans)
            let hasEnded = simulation.run()
            #expect(hasEnded, "SEED=\(seed)")
            let spoilt = simulation.poisonous.union(simulation.unsound)
            let failed = simulation.scheduler.journal.filter { record in
                if case .unitFailed(let unit, _, _) = record { !spoilt.contains(unit) } else { false }
            }
            #expect(failed == [], "SEED=\(seed)")
        }
    }
}
