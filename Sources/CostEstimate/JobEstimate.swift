import Identifiers
public import JobPlan
import UnitOperations

/// The predicted duration of a job on one machine whose lanes do nothing else.
///
/// Input files are taken to be in the page cache. Results of earlier work are not known, so every unit counts.
public struct JobEstimate: Equatable, Sendable {
    /// The lanes of all workers.
    public let lanes: Int
    /// Seconds from the first unit to the publication.
    public let seconds: Double
    /// ``seconds``, shared out in proportion to what the lanes do.
    public let parts: UnitSeconds

    /// Predicts a job.
    ///
    /// - Parameters:
    ///   - plan: The job's units.
    ///   - rates: The machine's rates, measured with as many lanes.
    ///   - lanes: The lanes of all workers; at least one.
    ///   - coordinatorLanes: The lanes of the coordinator, which share the processors with the workers.
    ///   - diskRate: Bytes a second that become durable where the outputs are; `nil` when it is not known.
    public init(of plan: JobPlan, rates: MachineRates, lanes: Int, coordinatorLanes: Int, diskRate: Double?) {
        let routes = ResultRoutes(of: plan)
        var units: [ListSchedule.Unit] = []
        units.reserveCapacity(plan.units.count)
        var busy = UnitSeconds()
        for unit in plan.units {
            let position = unit.index.position
            var seconds = rates.seconds(
                of: unit, storedBytes: routes.stored[position], placedBytes: routes.placed[position],
                placesAreSquares: plan.spec.curvature.writesSquares, sentBytes: routes.sent[position])
            var elapsed = seconds.total
            if unit.work == .coordinator(.mergeCheckpoint), plan.spec.checkpoint.adapterRank == nil {
                let merge = CheckpointSeconds(of: CheckpointParts(of: plan), rates: rates)
                (seconds, elapsed) = (merge.busy, merge.elapsed(threads: min(lanes, CoordinatorOperation.mergeThreads)))
            }
            busy += seconds
            units.append(
                ListSchedule.Unit(
                    seconds: elapsed, isForWorker: unit.isForWorker,
                    dependencies: unit.dependencies.map(\.position)))
        }
        let makespan = ListSchedule.makespan(of: units, lanes: lanes, coordinatorLanes: coordinatorLanes)
        let outputs = plan.units.reduce(0.0) { $0 + ($1.isForWorker ? 0 : Double($1.cost.outputBytes)) }
        self.init(
            busy: busy, makespan: makespan, lanes: max(1, lanes), diskSeconds: diskRate.map { outputs / $0 } ?? 0)
    }

    /// Combines the work of the lanes, their schedule and the disk.
    ///
    /// The coordinator's lanes have no processors of their own, so the work cannot take less than its share of the
    /// workers' lanes. The disk is busy beside them, and cannot end before it has taken every byte.
    init(busy: UnitSeconds, makespan: Double, lanes: Int, diskSeconds: Double) {
        self.lanes = lanes
        let computing = max(makespan, busy.total / Double(lanes))
        seconds = max(computing, diskSeconds)
        var parts = busy.total > 0 ? busy * (computing / busy.total) : busy
        parts.writing += seconds - computing
        self.parts = parts
    }
}
