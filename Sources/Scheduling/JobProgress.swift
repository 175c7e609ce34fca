import Identifiers
import JobPlan

/// A job's units and how far each has come.
struct JobProgress: Sendable {
    /// A unit's state.
    enum UnitState: Hashable, Sendable {
        /// Some units that it depends on are not finished. Can transition to: `ready`, `finished` (late result).
        case waiting(dependencies: Int)
        /// It can be computed. Can transition to: `leased`, `finished` (late result).
        case ready
        /// Somebody has it. Can transition to: `ready` (failed, lost), `leased` (moved), `finished`.
        case leased(UnitExecutorName, Attempt)
        /// Its result is durable. Final.
        case finished(UnitResult)
    }

    let header: JobHeader
    let plan: JobPlan
    /// Position in the order of acceptance, by which jobs precede each other.
    let number: Int
    var states: [UnitState]
    var attempts: [Attempt]
    var failures: [UnitIndex: [UnitExecutorName]] = [:]
    var durations: [UnitIndex: UnitTiming] = [:]
    var executors: [UnitIndex: UnitExecutorName] = [:]
    var outcome: JobOutcome?
    var unfinishedCount: Int

    /// The units that read each unit's outputs.
    let dependents: [[UnitIndex]]
    /// Nominal seconds from a unit's start to the job's end along the costliest path: the unit's priority.
    let ranks: [Double]

    init(header: JobHeader, plan: JobPlan, number: Int) {
        self.header = header
        self.plan = plan
        self.number = number
        states = plan.units.map { $0.dependencies.isEmpty ? .ready : .waiting(dependencies: $0.dependencies.count) }
        attempts = Array(repeating: Attempt(0), count: plan.units.count)
        unfinishedCount = plan.units.count
        var dependents: [[UnitIndex]] = Array(repeating: [], count: plan.units.count)
        for unit in plan.units {
            for dependency in unit.dependencies { dependents[dependency.position].append(unit.index) }
        }
        var ranks = plan.units.map(\.cost.nominalSeconds)
        for unit in plan.units.reversed() {
            let longest = dependents[unit.index.position].map { ranks[$0.position] }.max() ?? 0
            ranks[unit.index.position] += longest
        }
        self.dependents = dependents
        self.ranks = ranks
    }

    func isFinished(_ unit: UnitIndex) -> Bool {
        if case .finished = states[unit.position] { true } else { false }
    }

    /// Marks a unit as finished and returns the units that became ready by it.
    mutating func finish(_ unit: UnitIndex, _ result: UnitResult) -> [UnitIndex] {
        guard !isFinished(unit) else { return [] }
        states[unit.position] = .finished(result)
        unfinishedCount -= 1
        return dependents[unit.position].filter { dependent in
            guard case .waiting(let count) = states[dependent.position] else { return false }
            states[dependent.position] = count == 1 ? .ready : .waiting(dependencies: count - 1)
            return count == 1
        }
    }

    /// Counts a failure of a unit and says whether the job must end for it.
    ///
    /// - Parameters:
    ///   - unit: The unit.
    ///   - executor: Who failed.
    ///   - failuresMax: Failures after which a unit is given up.
    ///   - hasOtherWorker: Whether a worker that has not failed yet could try.
    /// - Returns: Whether the unit is given up: three failures on two workers, or on the only one there is.
    mutating func countFailure(
        of unit: UnitIndex, by executor: UnitExecutorName, failuresMax: Int, hasOtherWorker: Bool
    ) -> Bool {
        failures[unit, default: []].append(executor)
        let all = failures[unit] ?? []
        return all.count >= failuresMax && (Set(all).count >= 2 || !hasOtherWorker)
    }
}
