import Admission
import BlobStore
import Identifiers
import JobPlan
import KroneckerFactors
import Lanes
import Logging
import Publication
import Safetensors
import Scheduling
import Telemetry
import UnitOperations

/// A unit of the coordinator's own, with everything that it reads.
struct CoordinatorTask: Sendable {
    let lease: LeasedUnit
    let unit: WorkUnit
    let job: Job
    let staged: StagedOutputs
    /// The results of the job's finished units, at least those that this unit depends on.
    let results: @Sendable (UnitIndex) -> UnitResult?
    let executions: @Sendable (UnitIndex) -> (executor: UnitExecutorName, timing: UnitTiming)?
    /// The numeric regime of a finished unit's result, if known.
    let regimes: @Sendable (UnitIndex) -> NumericRegime?

    /// The event for a unit whose job ended before the unit's turn came.
    static func unwanted(_ lease: LeasedUnit) -> SchedulerEvent {
        let failure = UnitFailure(kind: .world, message: "its job has ended")
        return .unitFailed(lease, by: .coordinator, failure)
    }
}

/// One lane for the coordinator's own work: files and the streaming merge.
actor CoordinatorWork {
    private let lane: Lane
    private let blobs: PackedBlobs
    private let build: String
    private let logger: Logger

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(number: Int, store: BlobStore, build: String, logger: Logger) {
        lane = Lane("kfacd.coordinator.\(number)")
        blobs = PackedBlobs(store: store)
        self.build = build
        self.logger = logger
    }

    /// Computes a unit; returns the events about lost blobs, and then the unit's outcome.
    func perform(_ task: CoordinatorTask) -> [SchedulerEvent] {
        let start = ContinuousClock.now
        do {
            guard case .coordinator(let operation) = task.unit.work else {
                preconditionFailure("a worker's unit was given to the coordinator: \(task.unit.title)")
            }
            let result = try run(operation, task)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            let timing = UnitTiming(elapsedSeconds: seconds, kernelSeconds: 0)
            return [.unitFinished(task.lease, by: .coordinator, result, timing)]
        } catch {
            return losses(error, task) + [.unitFailed(task.lease, by: .coordinator, failure(error, task))]
        }
    }

    /// The events about lost blobs and files behind an error; they precede the unit's failure.
    ///
    /// When one blob is lost, all blobs that the unit reads are checked. If they were found one by one, each would cost
    /// an attempt.
    private func losses(_ error: any Error, _ task: CoordinatorTask) -> [SchedulerEvent] {
        if case CoordinatorWorkError.damagedFiles(let damages) = error {
            return damages.map {
                .filesLost(UnitReference(job: task.lease.unit.job, unit: $0.unit), reason: "\($0)")
            }
        }
        if case CoordinatorWorkError.damagedPlaces(let outputs, _) = error {
            return [.placesLost(task.lease.unit, outputs, reason: "\(error)")]
        }
        guard let first = (error as? BlobStoreError)?.lostBlob else { return [] }
        var lost: Set<BlobDigest> = [first]
        for output in task.job.plan.blobs(readBy: task.unit) {
            guard let result = task.results(output.unit), !result.hasPlaced(output.position),
                let blob = result.blob(at: output.position)
            else { continue }
            do { try blobs.store.verify(blob.digest) } catch {
                if let digest = error.lostBlob { lost.insert(digest) }
            }
        }
        return lost.sorted().map { .blobUnreadable($0) }
    }

    private func run(_ operation: CoordinatorOperation, _ task: CoordinatorTask) throws -> UnitResult {
        switch operation {
        case .digestInputs: return try InputDigestsWork.run(task.job)
        case .mergeCheckpoint:
            let merged = try CheckpointMerge(job: task.job, store: blobs.store, result: task.results).run {
                logger.debug("checkpoint merged", metadata: [LogKeys.job: "\(task.lease.unit.job)"])
            }
            task.staged.noteFinished(merged.files)
            var result = merged.result
            result.blobs = try StagedFileAudit.digests(of: operation, task.staged, in: task.job.output)
            return result
        default:
            try write(operation, task)
            return UnitResult(blobs: try StagedFileAudit.digests(of: operation, task.staged, in: task.job.output))
        }
    }

    /// Performs an operation whose outputs are files.
    private func write(_ operation: CoordinatorOperation, _ task: CoordinatorTask) throws {
        switch operation {
        case .assembleFactors, .assembleRegularizer, .assembleInverses:
            let contents = CurvatureContents(job: task.job)
            guard let file = contents.file(of: operation) else { return }
            let assembly = CurvatureAssembly(
                contents: contents, staged: task.staged, blobs: blobs, result: task.results)
            try assembly.write(operation, file)
        case .writeReport:
            for file in task.job.inputs.files { try InputDigestsWork.requireUnchanged(file) }
            try ReportWriter(
                job: task.job, build: build, result: task.results, execution: task.executions, regime: task.regimes
            ).run()
        case .publish:
            let output = task.job.output
            // Once the publication has begun, the output's own list proves the staged files, which also include the
            // files to be replaced.
            let canGoOn = try output.canGoOn()
            try output.publish(proven: canGoOn ? [] : try proven(task))
            for warning in task.job.plan.warnings(task.results) {
                logger.warning("\(warning)", metadata: [LogKeys.job: "\(task.lease.unit.job)"])
            }
        case .digestInputs, .mergeCheckpoint: break
        }
    }

    /// Checks the staged files, and gives those of a flat checkpoint the places where they are published.
    ///
    /// - Throws: `CoordinatorWorkError.damagedFiles`, `PublicationError`.
    private func proven(_ task: CoordinatorTask) throws -> [ProvenFile] {
        let output = task.job.output
        let isFlat = task.job.plan.spec.checkpoint.layout == .flat
        if isFlat { try output.gather("merged") }
        let (damages, proven) = StagedFileAudit(job: task.job, staged: task.staged, result: task.results).examined()
        guard damages.isEmpty else { throw CoordinatorWorkError.damagedFiles(damages) }
        return isFlat ? try output.spread("merged", proven: proven) : proven
    }

    private func failure(_ error: any Error, _ task: CoordinatorTask) -> UnitFailure {
        let kind: UnitFailure.Kind =
            switch error {
            case CoordinatorWorkError.badInput, CoordinatorWorkError.inputChanged,
                CoordinatorWorkError.damagedPush:
                .badInput
            case let error where DiskSpace.isRefused(error): .badInput
            case CoordinatorWorkError.damagedFiles, CoordinatorWorkError.damagedPlaces: .inputMissing
            case let error as BlobStoreError where error.lostBlob != nil: .inputMissing
            case let error where DiskSpace.isExhausted(error): .noSpace
            default: .world
            }
        return UnitFailure(kind: kind, message: kind == .badInput ? "\(error)" : "\(task.unit.title): \(error)")
    }
}
