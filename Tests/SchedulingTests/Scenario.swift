import Identifiers
import JobPlan
import Scheduling
import Testing
import UnitOperations

/// A scenario file: blocks of commands, `----`, and the scheduler's answers; blank lines separate blocks.
///
/// The form is that of etcd-io/raft's interaction tests. The files are read as documents and reviewed as diffs.
struct Scenario {
    /// A block of a scenario file.
    struct Block: Equatable {
        var comments: [String] = []
        var commands: [String] = []
        var expected: [String] = []
    }

    /// The blocks of a file's text.
    static func blocks(of text: String) -> [Block] {
        var blocks: [Block] = []
        var block = Block()
        var isExpected = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) + [""] {
            if line.isEmpty {
                if block != Block() { blocks.append(block) }
                (block, isExpected) = (Block(), false)
            } else if line == "----" {
                isExpected = true
            } else if isExpected {
                block.expected.append(line)
            } else if line.hasPrefix("#") {
                block.comments.append(line)
            } else {
                block.commands.append(line)
            }
        }
        return blocks
    }

    /// A file's text with the scheduler's present answers.
    static func text(of blocks: [Block]) -> String {
        blocks.map { block in
            let lines = block.comments + block.commands
            return (block.commands.isEmpty ? lines : lines + ["----"] + block.expected).joined(separator: "\n")
        }.joined(separator: "\n\n") + "\n"
    }

    private var scheduler = CheckedScheduler()
    private var deadline: SchedulerInstant?
    /// Unanswered requests, in the order of asking.
    private var outstanding: [Request] = []
    private var plans: [JobID: JobPlan] = [:]

    /// A unit to compute, or a blob to send.
    private enum Request: Equatable {
        case compute(UnitExecutorName, LeasedUnit)
        case send(WorkerID, BlobDigest)

        var worker: WorkerID? {
            switch self {
            case .compute(.worker(let worker), _), .send(let worker, _): worker
            case .compute: nil
            }
        }

        var lease: LeasedUnit? {
            if case .compute(_, let lease) = self { lease } else { nil }
        }
    }

    /// A command that is not in the scenario language.
    struct UnknownCommand: Error { var line: String }

    /// Executes a command.
    ///
    /// - Returns: The scheduler's answer, one line for each effect.
    /// - Throws: ``UnknownCommand``, or an error of planning a job.
    mutating func run(_ line: String) throws -> [String] {
        var words = line.split(separator: " ").map(String.init)
        let verb = words.removeFirst()
        let subject = words.first ?? ""
        let text = words.dropFirst(2).joined(separator: " ")
        switch verb {
        case "submit": return show(try submit(job(words)))
        case "cancel": return show(handle(.jobCancelled(JobID(rawValue: subject))))
        case "join": return show(handle(.workerJoined(WorkerID(rawValue: subject), capacity(words))))
        case "heard": return show(handle(.workerHeard(WorkerID(rawValue: subject))))
        case "leave":
            let reason = words.dropFirst().joined(separator: " ")
            return show(handle(.workerLeft(WorkerID(rawValue: subject), reason: reason)))
        case "start":
            let lease = try lease(words, line)
            return show(handle(.unitStarted(lease, by: WorkerID(rawValue: subject))))
        case "finish": return show(finish(executor(subject), try lease(words, line), text))
        case "fail", "reject", "full", "missing":
            let lease = try lease(words, line)
            outstanding.removeAll { $0.lease == lease }
            let kinds: [String: UnitFailure.Kind] = ["reject": .badInput, "full": .noSpace, "missing": .inputMissing]
            let failure = UnitFailure(kind: kinds[verb] ?? .world, message: text)
            return show(handle(.unitFailed(lease, by: executor(subject), failure)))
        case "progress":
            let lease = try lease(words, line)
            let steps = UnitProgress(unit: lease, steps: UInt64(text) ?? 0)
            return show(handle(.workerProgressed(WorkerID(rawValue: subject), [steps])))
        case "wait":
            scheduler.advance(by: .seconds(Int(subject) ?? 0))
            return ["it is \(scheduler.now.sinceStart)"]
        case "deadline": return show(handle(.deadlineReached))
        case "restart": return restart(keepsStore: subject != "empty")
        case "rest": return rest()
        case "status": return status()
        default:
            guard let event = blobEvent(verb, words) else { throw UnknownCommand(line: line) }
            return show(handle(event))
        }
    }

    /// Events about blobs and leaving workers.
    private mutating func blobEvent(_ verb: String, _ words: [String]) -> SchedulerEvent? {
        guard let subject = words.first else { return nil }
        let worker = WorkerID(rawValue: subject)
        let names = words.dropFirst()
        switch verb {
        case "hold": return .blobsHeld(worker, names.map { .named($0) })
        case "drop": return .blobsDropped(worker, names.map { .named($0) })
        case "unsent":
            guard let name = names.first else { return nil }
            outstanding.removeAll { $0 == .send(worker, .named(name)) }
            return .collectionFailed(.named(name), from: worker)
        case "want": return .blobWanted(.named(subject))
        case "store":
            let digest = BlobDigest.named(subject)
            outstanding.removeAll { if case .send(_, digest) = $0 { true } else { false } }
            return .blobStored(.named(subject))
        case "unreadable": return .blobUnreadable(.named(subject))
        case "unstored": return .collectionPaused(.named(subject), reason: names.joined(separator: " "))
        case "drain": return .drainRequested(worker)
        case "draining": return .workerDraining(worker)
        default: return nil
        }
    }

    // MARK: - Words

    private func options(_ words: [String]) -> [String: Int] {
        Dictionary(
            words.compactMap { word in
                let parts = word.split(separator: "=")
                return parts.count == 2 ? Int(parts[1]).map { (String(parts[0]), $0) } : nil
            },
            uniquingKeysWith: { $1 }
        )
    }

    private func job(_ words: [String]) -> SmallJob {
        let options = options(words)
        var job = SmallJob(id: JobID(rawValue: words[0]))
        job.tasks = options["tasks"] ?? job.tasks
        job.layers = options["layers"] ?? job.layers
        job.parts = options["parts"] ?? job.parts
        job.dimension = options["dimension"] ?? job.dimension
        job.rows = options["rows"] ?? job.rows
        if words.contains("regularizer") { job.outputs = ["regularizer", "inverses"] }
        if let like = words.firstIndex(of: "like"), words.indices.contains(like + 1) { job.captures = words[like + 1] }
        return job
    }

    private func capacity(_ words: [String]) -> WorkerCapacity {
        let options = options(words)
        return WorkerCapacity(
            lanes: options["lanes"] ?? 1,
            memoryBytes: options["MiB"].map { UInt64($0) << 20 } ?? 1 << 30
        )
    }

    private func executor(_ word: String) -> UnitExecutorName {
        word == "coordinator" ? .coordinator : .worker(WorkerID(rawValue: word))
    }

    /// `job-1/0#1`.
    private func lease(_ words: [String], _ line: String) throws(UnknownCommand) -> LeasedUnit {
        let parts = words.dropFirst().first?.split { $0 == "/" || $0 == "#" } ?? []
        guard parts.count == 3, let unit = Int(parts[1]), let attempt = Int(parts[2]) else {
            throw UnknownCommand(line: line)
        }
        return LeasedUnit(
            UnitReference(job: JobID(rawValue: String(parts[0])), unit: UnitIndex(unit)),
            Attempt(attempt)
        )
    }

    // MARK: - Events

    private mutating func handle(_ event: SchedulerEvent) -> SchedulerEffects { scheduler.handle(event) }

    private mutating func submit(_ job: SmallJob) throws -> SchedulerEffects {
        plans[job.id] = try job.plan()
        return try scheduler.submit(job)
    }

    private mutating func finish(
        _ executor: UnitExecutorName,
        _ lease: LeasedUnit,
        _ result: String
    ) -> SchedulerEffects {
        outstanding.removeAll { $0.lease == lease }
        let units = plans[lease.unit.job]?.units ?? []
        let count = units.indices.contains(lease.unit.unit.position) ? units[lease.unit.unit.position].blobCount : 1
        let result = UnitResult.named(result.isEmpty ? "\(lease.unit)" : result, blobs: count)
        return handle(.unitFinished(lease, by: executor, result, .short))
    }

    private mutating func show(_ effects: SchedulerEffects) -> [String] {
        note(effects)
        var lines = effects.lines
        if effects.deadline != deadline {
            lines.append(effects.deadline.map { "deadline: \($0.sinceStart)" } ?? "no deadline")
            deadline = effects.deadline
        }
        return lines.isEmpty ? ["nothing"] : lines
    }

    private mutating func note(_ effects: SchedulerEffects) {
        for order in effects.orders {
            switch order.order {
            case .lease(let lease): outstanding.append(.compute(.worker(order.worker), lease))
            case .revoke(let lease): outstanding.removeAll { $0.lease == lease }
            case .collect(let blob): outstanding.append(.send(order.worker, blob))
            case .discard, .drain, .dismiss: break
            }
        }
        outstanding += effects.coordinatorWork.map { .compute(.coordinator, $0) }
        outstanding.removeAll { $0.worker.map(effects.forgotten.contains) ?? false }
    }

    /// Restarts the coordinator; the first event afterwards shows its actions.
    private mutating func restart(keepsStore: Bool) -> [String] {
        scheduler.checkReplay()
        (outstanding, deadline) = ([], nil)
        let count = scheduler.journal.count
        return ["\(count) records folded"] + show(scheduler.restart(keepsStore: keepsStore))
    }

    /// Does everything that was asked for, in that order, until nothing is left.
    private mutating func rest() -> [String] {
        var lines: [String] = []
        while let request = outstanding.first {
            outstanding.removeFirst()
            let effects: SchedulerEffects
            switch request {
            case .compute(_, let lease) where scheduler.scheduler.result(of: lease.unit) != nil: continue
            case .compute(let executor, let lease): effects = finish(executor, lease, "")
            case .send(_, let blob): effects = handle(.blobStored(BlobReference(digest: blob, byteCount: 1)))
            }
            note(effects)
            lines += effects.lines.filter { $0.hasPrefix("record") || $0.hasPrefix("notice") }
        }
        scheduler.checkReplay()
        return lines
    }

    private func status() -> [String] {
        let jobs = scheduler.scheduler.jobStatuses.map { job in
            let outcome =
                switch job.outcome {
                case .succeeded: "succeeded"
                case .cancelled: "cancelled"
                case .failed: "failed"
                case nil: "running"
                }
            let pause = job.pauseReason.map { ", waits: \($0)" } ?? ""
            return "\(job.id): \(outcome), \(job.finishedUnits) of \(job.totalUnits) units\(pause)"
        }
        let workers = scheduler.scheduler.workerStatuses.map { worker in
            "\(worker.id): holds \(worker.leasedUnits) units and \(worker.heldBlobs) blobs, computes "
                + "\(worker.startedUnits)\(worker.isDraining ? ", takes nothing new" : "")"
        }
        return jobs + workers
    }
}
