public import Identifiers
import JobPlan
import OrderedCollections
public import UnitOperations

/// How many units are where; nothing here changes the scheduler.
extension Scheduler {
    /// Where a unit is.
    public enum UnitPlace: String, CaseIterable, Hashable, Sendable {
        /// Units that it depends on are not finished.
        case waiting
        /// It could be computed.
        case ready
        /// Somebody has it.
        case leased
        /// It waits for room on a disk.
        case resting
        /// Its result is known.
        case finished
    }

    /// A kind of unit of a job in a place.
    public struct UnitGroup: Hashable, Sendable {
        /// The job.
        public var job: JobID
        /// The kind.
        public var stage: UnitStage
        /// The place.
        public var place: UnitPlace

        /// Names a kind in a place.
        public init(job: JobID, stage: UnitStage, place: UnitPlace) {
            self.job = job
            self.stage = stage
            self.place = place
        }
    }

    /// The units of all running jobs, by job, kind and place; of the kinds that a job has every place is there.
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
                let stage = UnitStage(unit.work)
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

    /// Bytes of the factors of all running jobs that are there, by side, as packed triangles; one that several layers
    /// or jobs share counts once.
    public var factorBytes: [FactorSide: UInt64] {
        var bytes: [FactorSide: UInt64] = [:]
        var seen: Set<BlobDigest> = []
        for job in jobs.values {
            for (name, output) in job.plan.factorOutputs.values.joined() {
                guard case .finished(let result) = job.states[output.unit.position],
                    result.blobs.indices.contains(output.position)
                else { continue }
                let blob = result.blobs[output.position]
                guard ledger.isAvailable(blob.digest), seen.insert(blob.digest).inserted else { continue }
                // Sizes are what workers say.
                bytes[name.side] = (bytes[name.side] ?? 0).addingReportingOverflow(blob.byteCount).partialValue
            }
        }
        return bytes
    }
}
