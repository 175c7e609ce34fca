import Identifiers
import JobPlan
import Scheduling
import UnitOperations

/// Which results may be taken for a unit, in clusters of one regime and of two.
extension Referee {
    /// How a worker came to a result.
    struct Origin {
        /// What the unit stands for in the plan.
        let unit: UInt64
        /// What was computed: the operation, from the inputs of the time.
        let content: UInt64
        let regime: NumericRegime
    }

    /// Notes what a worker has computed, and the plan's own result of the same unit.
    mutating func noteComputed(_ result: UnitResult, instead planned: UnitResult, _ origin: Origin) {
        origins[result.fingerprint] = origin
        for (blob, name) in zip(result.blobs, planned.blobs) { self.planned[blob.digest] = name.digest }
        self.planned[SimulatedJob.reportLine(of: result)] = SimulatedJob.reportLine(of: planned)
    }

    /// Files with the plan's names of their blobs.
    func plannedNames(of files: [String: [BlobDigest]]) -> [String: [BlobDigest]] {
        files.mapValues { $0.map { planned[$0] ?? $0 } }
    }

    /// Checks a result that is recorded: that it is of the unit, and that its key says how it was made.
    mutating func check(
        _ result: UnitResult, of unit: UnitReference, _ executor: UnitExecutorName, _ key: ResultKey?,
        _ jobs: [SimulatedJob], _ ids: [JobID]
    ) {
        let job = jobs[ids.firstIndex(of: unit.job) ?? 0]
        let planned = job.plan.units[unit.unit.position]
        guard executor != .coordinator else {
            if !result.agrees(with: job.results[unit.unit.position]) { violations.append("\(unit) has a result") }
            return
        }
        guard let origin = origins[result.fingerprint], origin.unit == content(unit, jobs, ids) else {
            let sentence = "\(unit) (\(planned.title)) of \(executor) has another result than the plan says"
            return violations.append(sentence)
        }
        if let key, key.regime != origin.regime {
            violations.append("\(unit) is recorded as made in \(key.regime), but was made in \(origin.regime)")
        }
        if let key, contents.updateValue(origin.content, forKey: key.unit) ?? origin.content != origin.content {
            violations.append("\(unit) is recorded by a key of other inputs than it was made from")
        }
        guard executor == .earlierWork else { return }
        if key == nil { violations.append("\(unit) is taken from earlier work without a key") }
        if !capacities.values.contains(where: { $0.regime == origin.regime }) {
            violations.append("\(unit) is taken from earlier work in a regime that nobody has")
        }
    }

    /// Checks that the job says of a unit in which regime its result was made, if it says anything.
    mutating func checkRegime(of unit: UnitReference, _ result: UnitResult, _ scheduler: Scheduler) {
        guard let regime = scheduler.regime(of: unit), let origin = origins[result.fingerprint],
            regime != origin.regime
        else { return }
        violations.append("\(unit.job) says that \(unit) was made in \(regime), but it was made in \(origin.regime)")
    }
}

extension UnitResult {
    /// A number for the result's bits; equal results have equal numbers, also with NaN.
    var fingerprint: UInt64 { Fingerprint.of("\(self)") }
}
