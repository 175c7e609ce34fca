import Admission
import Identifiers
import JobPlan
import Logging
import Messaging
import Scheduling
import Telemetry
import UnitOperations
import WireProtocol
import ZeroMQ

/// Handles impossible messages of workers: they have no effect, are counted, and the third one ends the connection.
///
/// Late messages are possible, and the scheduler judges them: see ``GivenLeases``.
extension Coordinator {
    // MARK: - Units

    /// Whether a worker's message about a unit has an effect; an impossible one is refused.
    func accepts(_ unit: LeasedUnit, from worker: WorkerID, _ peer: RoutingIdentity) async -> Bool {
        switch verdict(on: unit, of: worker) {
        case .given: return true
        case .outdated: return false
        case .forged:
            await refuse(.unit, of: worker, peer, "\(unit.sentenceSubject) was never given to it")
            return false
        }
    }

    /// Records the progress of units.
    ///
    /// All entries about units that the worker was not given count as one refused message.
    func note(
        _ progress: [UnitProgress], of name: WorkerID, by worker: WorkerID, _ peer: RoutingIdentity
    ) async {
        guard name == worker else {
            await refuse(.name, of: worker, peer, "it uses the name of \(name.rawValue.excerpt.printable)")
            return
        }
        var (given, forged): ([UnitProgress], LeasedUnit?) = ([], nil)
        for entry in progress {
            switch verdict(on: entry.unit, of: worker) {
            case .given: given.append(entry)
            case .outdated: break
            case .forged: forged = entry.unit
            }
        }
        if !given.isEmpty { happen(.workerProgressed(worker, given)) }
        if let forged { await refuse(.unit, of: worker, peer, "\(forged.sentenceSubject) was never given to it") }
    }

    /// Records a finished unit, when the worker was given it and the result fits the plan.
    func finish(
        _ unit: LeasedUnit, _ result: UnitResult, _ timing: UnitTiming, by worker: WorkerID, _ peer: RoutingIdentity
    ) async {
        guard await accepts(unit, from: worker, peer) else { return }
        if let problem = misfit(of: result, unit.unit) {
            happen(
                .unitFailed(
                    unit, by: .worker(worker),
                    UnitFailure(kind: .world, message: "the result \(problem), which is not what was asked for")))
            await refuse(.result, of: worker, peer, "its result of \(unit.sentenceSubject) \(problem)")
            return
        }
        if let name = result.nonFiniteMeasurement {
            // Our own arithmetic may be the cause. So the worker is not to blame, but the result cannot be used.
            let failure = UnitFailure(kind: .world, message: "the measured \(name.rawValue) is not finite")
            happen(.unitFailed(unit, by: .worker(worker), failure))
            return
        }
        countFinishedUnit(of: worker)
        happen(.unitFinished(unit, by: .worker(worker), result, timing))
    }

    private func verdict(on unit: LeasedUnit, of worker: WorkerID) -> GivenLeases.Verdict {
        conversations.judge(unit, of: worker, isPossible: scheduler.hasGiven(unit.attempt, of: unit.unit))
    }

    /// How a result differs from the plan; `nil` when it fits.
    private func misfit(of result: UnitResult, _ unit: UnitReference) -> String? {
        guard let units = jobs[unit.job]?.plan.units, units.indices.contains(unit.unit.position) else { return nil }
        let planned = units[unit.unit.position]
        guard planned.isForWorker else { return "is of a unit that is no worker's" }
        guard result.blobs.count == planned.blobCount else {
            return "has \(result.blobs.count) blobs instead of \(planned.blobCount)"
        }
        // The plan counts payload. File formats and wider types take several times as much.
        let most = 4 * min(planned.cost.outputBytes, UInt64(1) << 56) + UInt64(planned.blobCount) << 20
        guard result.blobs.allSatisfy({ $0.byteCount <= most }) else { return "has a blob of more than \(most) bytes" }
        return nil
    }

    // MARK: - Blobs and ranges

    /// Whether a worker's message about a blob that it must send has an effect.
    func accepts(_ blob: BlobDigest, from worker: WorkerID, _ peer: RoutingIdentity) async -> Bool {
        if conversations.given.wasAsked(for: blob, of: worker) { return true }
        await refuse(.blob, of: worker, peer, "it was never asked for blob \(blob)")
        return false
    }

    /// Whether a worker may read the bytes that it asks for: only bytes for its own units.
    func accepts(_ range: RangeRequest, from worker: WorkerID, _ peer: RoutingIdentity) async -> Bool {
        var job: JobID?
        if case .inputFile(let id, _) = range.source { job = id }
        if conversations.given.mayRead(of: job, worker) { return true }
        await pass(.refusal(transfer: range.transfer, "nothing was given to this worker that reads it"), from: peer)
        let what = job.map { "files of the job \($0.rawValue.excerpt.printable)" } ?? "blobs"
        await refuse(.range, of: worker, peer, "it was given nothing that reads \(what)")
        return false
    }

    // MARK: - Refusing

    private func refuse(
        _ word: RefusedWord, of worker: WorkerID, _ peer: RoutingIdentity, _ sentence: String
    ) async {
        metrics.note(word)
        let (isOver, line) = conversations.noteRefusedWord(of: worker, at: .now)
        guard !isOver else {
            await end(peer, because: "\(sentence); is it a worker of this coordinator?")
            return
        }
        switch line {
        case .told:
            logger.warning(
                "a worker's message was refused",
                metadata: [LogKeys.worker: "\(worker)", LogKeys.cause: "\(sentence)"])
        case .last: logger.warning("more messages of workers were refused; further ones are only counted this minute")
        case .untold: break
        }
    }
}

extension LeasedUnit {
    /// The unit and its attempt as the subject of a sentence.
    fileprivate var sentenceSubject: String {
        "unit \(unit.unit.position) of \(unit.job.rawValue.excerpt.printable), attempt \(attempt),"
    }
}

extension UnitResult {
    /// A measurement that is not finite although later units compute with it; mere estimates may be unknown.
    fileprivate var nonFiniteMeasurement: MeasurementName? {
        [MeasurementName.trace, .innerProducts, .statistics].first { name in
            measurements[name]?.contains { !$0.isFinite } ?? false
        }
    }
}
