public import Identifiers
import JobPlan
import OrderedCollections
public import UnitOperations

/// The progress of a job's stages and layers; nothing here changes the scheduler.
extension Scheduler {
    /// A stage of a job, and its progress.
    public struct StageCount: Equatable, Sendable {
        /// The kind of its units.
        public var stage: UnitStage
        /// The number of finished units.
        public var finished: Int
        /// The number of all units.
        public var total: Int
        /// Whether one of its units is being computed.
        public var isActive: Bool
    }

    /// The stages of a running job in the order of its plan; empty for other jobs.
    public func stages(of id: JobID) -> [StageCount] {
        guard let job = jobs[id] else { return [] }
        var counts: OrderedDictionary<UnitStage, StageCount> = [:]
        for unit in job.plan.units {
            let stage = unit.stage
            counts[stage, default: StageCount(stage: stage, finished: 0, total: 0, isActive: false)]
                .note(job.states[unit.index.position])
        }
        return Array(counts.values)
    }

    /// The progress of each layer of a running job, for each stage that works on layers: one count for each of the
    /// plan's blocks.
    public func layerCounts(of id: JobID) -> [UnitStage: [StageCount]] {
        guard let job = jobs[id] else { return [:] }
        var counts: [UnitStage: [StageCount]] = [:]
        for unit in job.plan.units {
            guard let layer = unit.group, job.plan.blocks.indices.contains(layer) else { continue }
            let stage = unit.stage
            let none = StageCount(stage: stage, finished: 0, total: 0, isActive: false)
            counts[stage, default: Array(repeating: none, count: job.plan.blocks.count)][layer]
                .note(job.states[unit.index.position])
        }
        return counts
    }
}

extension Scheduler.StageCount {
    /// Counts one more unit.
    fileprivate mutating func note(_ state: JobProgress.UnitState) {
        total += 1
        switch state {
        case .finished: finished += 1
        case .leased: isActive = true
        case .waiting, .ready, .resting: break
        }
    }
}
