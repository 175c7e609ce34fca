import BlobStore
import Identifiers
import JobPlan
import KroneckerFactors
import Lanes
import Safetensors
import Scheduling

/// A unit of the coordinator's own with everything that it reads.
struct CoordinatorTask: Sendable {
    let lease: LeasedUnit
    let unit: WorkUnit
    let job: Job
    /// Results of the job's units that are finished: those that this one depends on, at least.
    let results: @Sendable (UnitIndex) -> UnitResult?
    let executions: @Sendable (UnitIndex) -> (executor: UnitExecutorName, timing: UnitTiming)?

    /// What is said of a unit whose job has ended before its turn came.
    static func unwanted(_ lease: LeasedUnit) -> SchedulerEvent {
        let failure = UnitFailure(kind: .world, message: "its job has ended")
        return .unitFailed(lease.unit, lease.attempt, by: .coordinator, failure)
    }
}

/// One lane of the coordinator's own work: files, and the streaming merge.
actor CoordinatorWork {
    private let lane: Lane
    private let blobs: PackedBlobs
    private let build: String

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(number: Int, store: BlobStore, build: String) {
        lane = Lane("kfacd.coordinator.\(number)")
        blobs = PackedBlobs(store: store)
        self.build = build
    }

    /// Does a unit and says what became of it, after what it found out about blobs.
    func perform(_ task: CoordinatorTask) -> [SchedulerEvent] {
        let start = ContinuousClock.now
        do {
            guard case .coordinator(let operation) = task.unit.operation else {
                preconditionFailure("a worker's unit was given to the coordinator: \(task.unit.title)")
            }
            let result = try run(operation, task)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            let timing = UnitTiming(elapsedSeconds: seconds, kernelSeconds: 0)
            return [.unitFinished(task.lease.unit, task.lease.attempt, by: .coordinator, result, timing)]
        } catch {
            let failed = SchedulerEvent.unitFailed(
                task.lease.unit, task.lease.attempt, by: .coordinator, failure(error, task))
            guard let blob = unreadableBlob(error) else { return [failed] }
            _ = try? blobs.store.remove(blob)
            return [.blobUnreadable(blob), failed]
        }
    }

    /// The blob of the store that an error is about, where it is about one: it is collected or computed again.
    private func unreadableBlob(_ error: any Error) -> BlobDigest? {
        switch error {
        case CoordinatorWorkError.damagedBlob(let digest), BlobStoreError.missing(_, let digest): digest
        default: nil
        }
    }

    private func run(_ operation: CoordinatorOperation, _ task: CoordinatorTask) throws -> UnitResult {
        switch operation {
        case .digestInputs: return try InputDigestsWork.run(task.job)
        case .mergeCheckpoint:
            return try CheckpointMerge(job: task.job, store: blobs.store, result: task.results).run()
        default:
            try write(operation, task)
            return UnitResult()
        }
    }

    /// The operations whose outputs are files.
    private func write(_ operation: CoordinatorOperation, _ task: CoordinatorTask) throws {
        let assembly = CurvatureAssembly(job: task.job, blobs: blobs, result: task.results)
        switch operation {
        case .assembleFactors(let name): try assembly.writeFactors(of: name)
        case .assembleRegularizer(let target): try assembly.writeRegularizer(for: target)
        case .assembleInverses(let target): try assembly.writeInverses(for: target)
        case .writeReport:
            for file in task.job.inputs.files { try InputDigestsWork.requireUnchanged(file) }
            try ReportWriter(job: task.job, build: build, result: task.results, execution: task.executions).run()
        case .publish: try task.job.output.publish()
        case .digestInputs, .mergeCheckpoint: break
        }
    }

    private func failure(_ error: any Error, _ task: CoordinatorTask) -> UnitFailure {
        let kind: UnitFailure.Kind =
            switch error {
            case CoordinatorWorkError.badInput, CoordinatorWorkError.inputChanged: .badInput
            case CoordinatorWorkError.damagedBlob, BlobStoreError.missing: .inputMissing
            case let error where DiskSpace.isExhausted(error): .noSpace
            default: .world
            }
        return UnitFailure(kind: kind, message: kind == .badInput ? "\(error)" : "\(task.unit.title): \(error)")
    }
}
