public import Identifiers
import JobPlan
import OrderedCollections
public import UnitOperations

/// The number of units in each state; nothing here changes the scheduler.
extension Scheduler {
    /// The state of a unit.
    public enum UnitPlace: String, CaseIterable, Hashable, Sendable {
        /// Some of its dependencies are not finished.
        case waiting
        /// It can be computed.
        case ready
        /// It is leased.
        case leased
        /// It waits for room on a disk.
        case resting
        /// Its result is known.
        case finished
    }

    /// The units of one job, kind and state.
    public struct UnitGroup: Hashable, Sendable {
        /// The job.
        public var job: JobID
        /// The kind.
        public var stage: UnitStage
        /// The state.
        public var place: UnitPlace

        /// Names a group.
        public init(job: JobID, stage: UnitStage, place: UnitPlace) {
            self.job = job
            self.stage = stage
            self.place = place
        }
    }

    /// The number of units of all running jobs, by job, kind and state.
    ///
    /// Every kind that a job has is listed with all states.
    public var unitCounts: [UnitGroup: Int] {
        var counts: [UnitGroup: Int] = [:]
        for job in jobs.values {
            for unit in job.plan.units {
                let place: UnitPlace =
                    switch job.states[unit.index.position] {
                    case .waiting: .waiting
                    case .ready: .ready
                    case .leased: .leased
                    case .resting: .resting
                    case .finished: .finished
                    }
                let stage = unit.stage
                if counts[UnitGroup(job: job.header.id, stage: stage, place: place)] == nil {
                    for place in UnitPlace.allCases {
                        counts[UnitGroup(job: job.header.id, stage: stage, place: place)] = 0
                    }
                }
                counts[UnitGroup(job: job.header.id, stage: stage, place: place), default: 0] += 1
            }
        }
        return counts
    }

    /// The bytes of all existing factors of running jobs, by side, as packed triangles.
    ///
    /// A factor that several layers or jobs share counts once.
    public var factorBytes: [FactorSide: UInt64] {
        var bytes: [FactorSide: UInt64] = [:]
        var seen: Set<BlobDigest> = []
        for job in jobs.values {
            for task in job.plan.spec.curvedTasks {
                for block in job.plan.blocks {
                    for (side, _) in block.factors {
                        guard let output = job.plan.products[block.name, .factor(side, of: task.name)],
                            let blob = job.result(of: output.unit)?.blob(at: output.position),
                            ledger.isAvailable(blob.digest), seen.insert(blob.digest).inserted
                        else { continue }
                        // Workers report the sizes, so the sum may overflow.
                        bytes[side] = (bytes[side] ?? 0).addingReportingOverflow(blob.byteCount).partialValue
                    }
                }
            }
        }
        return bytes
    }
}
