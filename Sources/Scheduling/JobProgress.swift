import Identifiers
import JobPlan
import UnitOperations

/// A job's units and the state of each.
struct JobProgress: Sendable {
    /// A unit's state.
    enum UnitState: Hashable, Sendable {
        /// Some of its dependencies are not finished.
        ///
        /// Can transition to: `ready`, `finished` (late result).
        case waiting(dependencies: Int)
        /// It can be computed now.
        ///
        /// Can transition to: `leased`, `finished` (late or known), `waiting` (an input is lost).
        case ready
        /// It is leased.
        ///
        /// Can transition to: `ready`, `waiting` (failed, lost), `leased` (moved), `resting`, `finished`.
        case leased(UnitExecutorName, Attempt)
        /// It waits for room on a disk, or because its inputs were lost.
        ///
        /// Can transition to: `ready`, `waiting` (an input is lost), `finished` (late result).
        case resting(until: SchedulerInstant)
        /// Its result is known.
        ///
        /// Can transition to: `ready`, `waiting` (its blobs are lost and needed).
        case finished(UnitResult)
    }

    /// A second lease of a slow unit.
    struct Twin: Hashable, Sendable {
        var worker: WorkerID
        var attempt: Attempt
    }

    /// What does not change while the job runs.
    let accepted: AcceptedJob
    var states: [UnitState]
    var attempts: [Attempt]
    var twins: [UnitIndex: Twin] = [:]
    var failures: [UnitIndex: [UnitExecutorName]] = [:]
    var durations: [UnitIndex: UnitTiming] = [:]
    var executors: [UnitIndex: UnitExecutorName] = [:]
    var keys: [UnitIndex: UnitKey] = [:]
    /// The numeric regimes of the results of finished units, if known.
    var regimes: [UnitIndex: NumericRegime] = [:]
    /// Units that are computed again although their results are known, because their blobs are lost.
    var revived: [UnitIndex: UnitResult] = [:]
    /// Units that read a result that was made again with other bits, by a worker of another regime.
    ///
    /// An attempt of such a unit may have read the first bits or the second.
    private(set) var mixed: Set<UnitIndex> = []
    /// Units that a lost worker may have begun without saying so, because they are brief.
    ///
    /// From now on their workers say so at once, so that a unit that ends its worker is found.
    var suspects: Set<UnitIndex> = []
    /// Elapsed and nominal seconds of the finished units of each stage.
    var pace: [UnitStage: (elapsed: Double, nominal: Double)] = [:]
    /// The reason for resting units in the status; it stays until they are finished.
    var pauseReason: String?
    /// How often each unfinished unit has rested; each rest is longer.
    var rests: [UnitIndex: Int] = [:]
    /// How often each unfinished unit was given back because an input was lost during its lease.
    var inputLosses: [UnitIndex: Int] = [:]
    /// How often the files of each unit were found damaged.
    var damages: [UnitIndex: Int] = [:]
    var unfinishedCount: Int
    /// The planned cost of the finished units, in nanoseconds.
    private(set) var finishedNanoseconds = 0
    /// The planned cost of each stage's unfinished units, in nanoseconds.
    private(set) var openNanoseconds: [UnitStage: Int] = [:]

    init(header: JobHeader, plan: JobPlan, number: Int, storesLast: Bool) {
        accepted = AcceptedJob(header: header, plan: plan, number: number, storesLast: storesLast)
        states = plan.units.map { $0.dependencies.isEmpty ? .ready : .waiting(dependencies: $0.dependencies.count) }
        let first = Attempt(beforeFirstWithMark: header.attemptMark ?? 0)
        attempts = Array(repeating: first, count: plan.units.count)
        unfinishedCount = plan.units.count
        for unit in plan.units { openNanoseconds[unit.stage, default: 0] &+= unit.cost.nanoseconds }
    }

    var header: JobHeader { accepted.header }
    var plan: JobPlan { accepted.plan }
    var number: Int { accepted.number }

    /// The job's progress.
    var status: Scheduler.JobStatus {
        Scheduler.JobStatus(
            id: header.id, specPath: header.specPath, submittedAt: header.submittedAt,
            finishedUnits: plan.units.count - unfinishedCount, totalUnits: plan.units.count,
            fraction: accepted.plannedNanoseconds > 0
                ? Double(finishedNanoseconds) / Double(accepted.plannedNanoseconds) : 1,
            outcome: nil, pauseReason: pauseReason)
    }

    /// A unit of the plan; `nil` for a number that the plan does not have.
    func unit(at index: UnitIndex) -> WorkUnit? {
        plan.units.indices.contains(index.position) ? plan.units[index.position] : nil
    }

    func isFinished(_ unit: UnitIndex) -> Bool {
        if case .finished = states[unit.position] { true } else { false }
    }

    /// A finished unit's result.
    func result(of unit: UnitIndex) -> UnitResult? {
        if case .finished(let result) = states[unit.position] { result } else { nil }
    }

    /// The blobs that a unit must have; `nil` while one of them is unknown.
    ///
    /// A file does not need the blobs that workers have already written into it.
    func inputs(of unit: UnitIndex) -> [(output: UnitOutput, blob: BlobReference)]? {
        let planned = plan.units[unit.position]
        var inputs: [(output: UnitOutput, blob: BlobReference)] = []
        for output in plan.blobs(readBy: planned) {
            guard let result = result(of: output.unit), let blob = result.blob(at: output.position) else { return nil }
            if needs(planned, output, of: result) { inputs.append((output, blob)) }
        }
        return inputs
    }

    private func needs(_ unit: WorkUnit, _ output: UnitOutput, of result: UnitResult) -> Bool {
        unit.isForWorker || !result.hasPlaced(output.position)
    }

    /// The blobs that a unit in progress reads, including those that are being made again.
    func blobsInUse(by unit: UnitIndex) -> [BlobDigest] {
        plan.blobs(readBy: plan.units[unit.position]).compactMap { output in
            (result(of: output.unit) ?? revived[output.unit])?.blob(at: output.position)?.digest
        }
    }

    /// The existing blobs that the job's unfinished units read, of all or of some units.
    func blobsStillRead(by reads: (WorkUnit) -> Bool = { _ in true }) -> [BlobDigest] {
        plan.units.flatMap { unit -> [BlobDigest] in
            guard reads(unit), !isFinished(unit.index) else { return [] }
            return plan.blobs(readBy: unit).compactMap { output in
                guard let result = result(of: output.unit), needs(unit, output, of: result) else { return nil }
                return result.blob(at: output.position)?.digest
            }
        }
    }

    /// The state of a unit without a lease.
    ///
    /// If an input was lost in the meantime, the unit waits until it is made again.
    func openState(of unit: UnitIndex) -> UnitState {
        let missing = plan.units[unit.position].dependencies.count { !isFinished($0) }
        return missing == 0 ? .ready : .waiting(dependencies: missing)
    }

    /// Whether an attempt of a unit was leased for this job, before or after a restart of the coordinator.
    func hasGiven(_ attempt: Attempt, of unit: UnitIndex) -> Bool {
        let before = Attempt(beforeFirstWithMark: header.attemptMark ?? 0)
        return attempt.mark == before.mark || before < attempt && attempt <= attempts[unit.position]
    }

    /// Marks a unit as finished, and returns the units that became ready as a result.
    mutating func finish(_ unit: UnitIndex, _ result: UnitResult) -> [UnitIndex] {
        var result = result
        if let earlier = self.result(of: unit) ?? revived[unit] {
            if !earlier.agrees(with: result) { mixed.formUnion(accepted.dependents[unit.position]) }
            // The unit was computed again, and this attempt may not have seen the staged files.
            if earlier.blobs == result.blobs { result.placed = result.placed ?? earlier.placed }
        }
        guard !isFinished(unit) else {
            // A journal records a recomputed unit twice; the later result is the one that others read.
            states[unit.position] = .finished(result)
            return []
        }
        states[unit.position] = .finished(result)
        revived[unit] = nil
        rests[unit] = nil
        inputLosses[unit] = nil
        unfinishedCount -= 1
        finishedNanoseconds &+= plan.units[unit.position].cost.nanoseconds
        openNanoseconds[plan.units[unit.position].stage, default: 0] &-= plan.units[unit.position].cost.nanoseconds
        return accepted.dependents[unit.position].filter { dependent in
            guard case .waiting(let count) = states[dependent.position] else { return false }
            states[dependent.position] = count == 1 ? .ready : .waiting(dependencies: count - 1)
            return count == 1
        }
    }

    /// Notes that outputs do not stand in their staged files.
    mutating func losePlaces(of outputs: [UnitOutput]) {
        for output in outputs {
            if case .finished(var result) = states[output.unit.position] {
                result.placed?[output.position] = nil
                states[output.unit.position] = .finished(result)
            }
            revived[output.unit]?.placed?[output.position] = nil
        }
    }

    /// Opens a finished unit again because its blobs are lost.
    ///
    /// It is ready, or waits when its inputs are lost too.
    ///
    /// - Returns: The units that were ready and wait again.
    mutating func revive(_ unit: UnitIndex) -> [UnitIndex] {
        guard case .finished(let result) = states[unit.position] else { return [] }
        revived[unit] = result
        states[unit.position] = .waiting(dependencies: 0)
        states[unit.position] = openState(of: unit)
        unfinishedCount += 1
        finishedNanoseconds &-= plan.units[unit.position].cost.nanoseconds
        openNanoseconds[plan.units[unit.position].stage, default: 0] &+= plan.units[unit.position].cost.nanoseconds
        return accepted.dependents[unit.position].filter { dependent in
            switch states[dependent.position] {
            case .waiting(let count):
                states[dependent.position] = .waiting(dependencies: count + 1)
                keys[dependent] = nil
                return false
            case .ready, .resting:
                states[dependent.position] = .waiting(dependencies: 1)
                // If the second result differs from the first, this unit has another key.
                keys[dependent] = nil
                return true
            // Leased units are computed from the first result.
            case .leased, .finished: return false
            }
        }
    }

    /// Counts a failure of a unit, and says whether the job must end because of it.
    ///
    /// - Parameters:
    ///   - unit: The unit.
    ///   - executor: The process that failed.
    ///   - failuresMax: The number of failures after which the job ends.
    ///   - hasOtherWorker: Whether a worker that has not failed the unit could try.
    /// - Returns: Whether the job must end: after three failures on two workers, or on the only available worker.
    mutating func countFailure(
        of unit: UnitIndex, by executor: UnitExecutorName, failuresMax: Int, hasOtherWorker: Bool
    ) -> Bool {
        failures[unit, default: []].append(executor)
        let all = failures[unit] ?? []
        return all.count >= failuresMax && (Set(all).count >= 2 || !hasOtherWorker)
    }
}
