import Identifiers
import JobPlan
import Scheduling
import UnitOperations

/// What must have come of every job in the end.
extension Simulation {
    mutating func checkOutcomes() {
        for (position, id) in jobIDs.enumerated() {
            guard let outcome = referee.outcomes[id] else { continue }
            let job = jobs[position]
            if coordinator.scheduler.status(of: id)?.outcome != outcome {
                referee.violations.append("\(id) has ended otherwise than its journal says")
            }
            switch outcome {
            case .succeeded: checkFiles(of: id, job)
            case .cancelled:
                if !referee.cancelled.contains(id) { referee.violations.append("\(id) was not cancelled by anybody") }
                checkNothingPublished(id)
            case .failed(let failure):
                checkNothingPublished(id)
                if !isDeclared(failure, of: id, job) {
                    referee.violations.append("\(id) has failed without a reason: \(failure.message)")
                }
            }
        }
        if faults.isKind { checkKindness() }
    }

    private mutating func checkFiles(of id: JobID, _ job: SimulatedJob) {
        if referee.plannedNames(of: coordinator.published[id] ?? [:]) != job.files {
            referee.violations.append("\(id) has published other files than the plan says")
        }
        if !poison.union(unsound).isDisjoint(with: job.contents) {
            referee.violations.append("\(id) has succeeded, but one of its units cannot be computed")
        }
    }

    private mutating func checkNothingPublished(_ id: JobID) {
        // A crash between the publication and its record is the one moment at which both are true.
        if let published = coordinator.published[id],
            jobs[position(of: id)].files != referee.plannedNames(of: published)
        {
            referee.violations.append("\(id) has not succeeded and has published something")
        }
        if coordinator.staging[id] != nil { referee.violations.append("\(id) has ended and left files behind") }
    }

    /// Whether a job failed for what was wrong with it, and says so exactly.
    private func isDeclared(_ failure: UnitFailure, of id: JobID, _ job: SimulatedJob) -> Bool {
        if failure.kind == .badInput {
            return failure.message == Self.badInput && !unsound.isDisjoint(with: job.contents)
        }
        return job.plan.units.contains { unit in
            let failures = referee.failures[UnitReference(job: id, unit: unit.index)] ?? []
            guard failures.count >= coordinator.settings.failuresMax, let last = failures.last else { return false }
            let memory = " (the unit needs \(unit.cost.memoryBytes >> 20) MiB of memory)"
            let message =
                "\(unit.title): gave up after \(failures.count) failures, the last on \(last.executor): "
                + "\(last.failure.message)\(last.failure.kind == .workerLost ? memory : "")"
            return failure.message == message && failure.kind == last.failure.kind
        }
    }

    /// In a kind world no unit fails that is not spoilt, and nothing is computed twice.
    private mutating func checkKindness() {
        for (unit, failures) in referee.failures {
            let content = referee.content(unit, jobs, jobIDs)
            if !poison.contains(content), !unsound.contains(content) {
                referee.violations.append("\(unit) has failed in a kind world: \(failures[0].failure.message)")
            }
        }
    }
}
