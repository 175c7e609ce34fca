import Identifiers
import JobPlan
import UnitOperations

/// What does not change while a job runs: its plan, and what follows from it.
///
/// It is a class, because a copy of a job's progress is then one reference to it, not a copy of dozens of tables.
final class AcceptedJob: Sendable {
    let header: JobHeader
    let plan: JobPlan
    /// Position in the order of acceptance; earlier jobs come first.
    let number: Int
    /// The units that read each unit's outputs.
    let dependents: [[UnitIndex]]
    /// Nominal seconds from a unit's start to the job's end along the costliest path.
    ///
    /// It is the unit's priority.
    let ranks: [Double]
    /// Outputs that the coordinator reads, by the unit that makes them.
    ///
    /// Only these are sent to the coordinator.
    let collected: [UnitIndex: Set<Int>]
    /// Those of them that workers read too.
    ///
    /// They are sent although they stand in their files, so that they need not be made again when a worker's small
    /// store has evicted them.
    let collectedForWorkers: Set<UnitOutput>
    /// Outputs whose blobs no worker keeps once they stand in their files; none where stores outlast the job.
    let outputsForFilesAlone: Set<UnitOutput>
    /// The units of each group, by its number.
    let members: [Int: [UnitIndex]]
    /// The worker's unit that needs the most memory.
    let largestUnit: WorkUnit?
    /// The planned cost of all units, in nanoseconds.
    ///
    /// Whole numbers make the sum independent of the order of the summands.
    let plannedNanoseconds: Int

    /// The largest memory of a worker's unit, in bytes.
    var largestMemory: UInt64 { largestUnit?.cost.memoryBytes ?? 0 }

    init(header: JobHeader, plan: JobPlan, number: Int, storesLast: Bool) {
        self.header = header
        self.plan = plan
        self.number = number
        var dependents: [[UnitIndex]] = Array(repeating: [], count: plan.units.count)
        var collected: [UnitIndex: Set<Int>] = [:]
        var readByWorkers: Set<UnitOutput> = []
        var members: [Int: [UnitIndex]] = [:]
        for unit in plan.units {
            if let group = unit.group { members[group, default: []].append(unit.index) }
            for dependency in unit.dependencies { dependents[dependency.position].append(unit.index) }
            guard !unit.isForWorker else {
                readByWorkers.formUnion(unit.inputs)
                continue
            }
            for output in plan.blobs(readBy: unit) { collected[output.unit, default: []].insert(output.position) }
        }
        var ranks = plan.units.map(\.cost.nominalSeconds)
        for unit in plan.units.reversed() {
            let longest = dependents[unit.index.position].map { ranks[$0.position] }.max() ?? 0
            ranks[unit.index.position] += longest
        }
        self.dependents = dependents
        self.ranks = ranks
        self.collected = collected
        collectedForWorkers = readByWorkers.filter { collected[$0.unit]?.contains($0.position) ?? false }
        outputsForFilesAlone = storesLast ? [] : plan.outputsForFilesAlone
        self.members = members
        largestUnit = plan.largestWorkerUnit
        plannedNanoseconds = plan.units.reduce(0) { $0 &+ $1.cost.nanoseconds }
    }
}

extension UnitCost {
    /// The nominal duration, at most a day, because a header may claim any dimension.
    var nanoseconds: Int { Int((min(nominalSeconds, 86_400) * 1e9).rounded()) }
}
