public import Identifiers
public import JobPlan
import OrderedCollections

/// How long a job may still take; nothing here changes the scheduler.
extension Scheduler {
    /// A stage of a job, and how far it is.
    public struct StageCount: Equatable, Sendable {
        /// The kind of its units.
        public var stage: UnitStage
        /// Units that are finished.
        public var finished: Int
        /// All units.
        public var total: Int
        /// Whether somebody is computing one.
        public var isActive: Bool
    }

    /// The stages of a running job in the order of its plan; none of another.
    public func stages(of id: JobID) -> [StageCount] {
        guard let job = jobs[id] else { return [] }
        var counts: OrderedDictionary<UnitStage, StageCount> = [:]
        for unit in job.plan.units {
            let stage = UnitStage(unit.operation)
            counts[stage, default: StageCount(stage: stage, finished: 0, total: 0, isActive: false)]
                .note(job.states[unit.index.position])
        }
        return Array(counts.values)
    }

    /// How far each layer of a running job is in each stage that works on layers: for each stage, a count for each of
    /// the plan's blocks.
    public func layerCounts(of id: JobID) -> [UnitStage: [StageCount]] {
        guard let job = jobs[id] else { return [:] }
        var counts: [UnitStage: [StageCount]] = [:]
        for unit in job.plan.units {
            guard let layer = unit.group, job.plan.blocks.indices.contains(layer) else { continue }
            let stage = UnitStage(unit.operation)
            let none = StageCount(stage: stage, finished: 0, total: 0, isActive: false)
            counts[stage, default: Array(repeating: none, count: job.plan.blocks.count)][layer]
                .note(job.states[unit.index.position])
        }
        return counts
    }

    /// Seconds until a running job is done, were it alone: what is left of each stage by the pace that its units have
    /// had so far, shared by the lanes that are there.
    ///
    /// - Returns: `nil` before enough is known: no unit is finished, or nobody is there who could go on.
    public func remainingSeconds(of id: JobID) -> Double? {
        guard let job = jobs[id] else { return nil }
        let known = job.pace.values.reduce((elapsed: 0.0, nominal: 0.0)) { sum, stage in
            (sum.elapsed + stage.elapsed, sum.nominal + stage.nominal)
        }
        let lanes = roster.workers.values.reduce(0) { $0 + $1.capacity.lanes }
        guard known.nominal > 0, known.elapsed > 0, lanes > 0 else { return nil }
        var (workers, own) = (0.0, 0.0)
        for unit in job.plan.units where !job.isFinished(unit.index) {
            let stage = job.pace[unit.stage]
            let pace = stage.map { $0.nominal > 0 ? $0.elapsed / $0.nominal : 0 } ?? known.elapsed / known.nominal
            let seconds = unit.cost.nominalSeconds * pace
            if unit.isForWorker { workers += seconds } else { own += seconds }
        }
        return workers / Double(lanes) + own / Double(settings.coordinatorLanes)
    }
}

extension Scheduler.StageCount {
    /// Counts one unit more.
    fileprivate mutating func note(_ state: JobProgress.UnitState) {
        total += 1
        switch state {
        case .finished: finished += 1
        case .leased: isActive = true
        case .waiting, .ready, .resting: break
        }
    }
}
