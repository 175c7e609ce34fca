import Identifiers
import JobPlan
import Scheduling
import Testing

/// A scenario file: blocks of commands, `----`, what the scheduler answers; blank lines between blocks.
///
/// The form is that of etcd-io/raft's interaction tests: the files are read as documents and reviewed as diffs.
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

    /// A file's text with the answers that the scheduler gives today.
    static func text(of blocks: [Block]) -> String {
        blocks.map { block in
            let lines = block.comments + block.commands
            return (block.commands.isEmpty ? lines : lines + ["----"] + block.expected).joined(separator: "\n")
        }.joined(separator: "\n\n") + "\n"
    }

    private var scheduler = CheckedScheduler()
    private var deadline: SchedulerInstant?
    /// What was given to somebody and not answered, in the order of giving.
    private var outstanding: [(executor: UnitExecutorName, lease: LeasedUnit)] = []

    /// A command that the scenario language does not have.
    struct UnknownCommand: Error { var line: String }

    /// Carries out a command.
    ///
    /// - Returns: The scheduler's answer, a line an effect.
    /// - Throws: ``UnknownCommand``, or what planning a job throws.
    mutating func run(_ line: String) throws -> [String] {
        var words = line.split(separator: " ").map(String.init)
        let verb = words.removeFirst()
        let subject = words.first ?? ""
        let text = words.dropFirst(2).joined(separator: " ")
        switch verb {
        case "submit": return show(try scheduler.submit(job(words)))
        case "cancel": return show(handle(.jobCancelled(JobID(rawValue: subject))))
        case "join": return show(handle(.workerJoined(WorkerID(rawValue: subject), capacity(words))))
        case "heard": return show(handle(.workerHeard(WorkerID(rawValue: subject))))
        case "leave":
            let reason = words.dropFirst().joined(separator: " ")
            return show(handle(.workerLeft(WorkerID(rawValue: subject), reason: reason)))
        case "start":
            let lease = try lease(words, line)
            return show(handle(.unitStarted(lease.unit, lease.attempt, by: WorkerID(rawValue: subject))))
        case "finish": return show(finish(executor(subject), try lease(words, line), text))
        case "fail", "reject":
            let lease = try lease(words, line)
            outstanding.removeAll { $0.lease == lease }
            let failure = UnitFailure(kind: verb == "fail" ? .world : .badInput, message: text)
            return show(handle(.unitFailed(lease.unit, lease.attempt, by: executor(subject), failure)))
        case "wait":
            scheduler.advance(by: .seconds(Int(subject) ?? 0))
            return ["it is \(scheduler.now.sinceStart)"]
        case "deadline": return show(handle(.deadlineReached))
        case "restart": return restart()
        case "rest": return rest()
        case "status": return status()
        default: throw UnknownCommand(line: line)
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
        if words.contains("regularizer") { job.outputs = ["regularizer", "inverses"] }
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

    private mutating func finish(
        _ executor: UnitExecutorName,
        _ lease: LeasedUnit,
        _ result: String
    ) -> SchedulerEffects {
        let result = UnitResult.named(result.isEmpty ? "\(lease.unit)" : result)
        return handle(.unitFinished(lease.unit, lease.attempt, by: executor, result, .short))
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
            switch order {
            case .lease(let worker, let lease): outstanding.append((.worker(worker), lease))
            case .revoke(_, let lease): outstanding.removeAll { $0.lease == lease }
            }
        }
        outstanding += effects.coordinatorWork.map { (.coordinator, $0) }
        for notice in effects.notices {
            switch notice {
            case .workerLost(let worker, _, _), .workerLeft(let worker, _, _):
                outstanding.removeAll { $0.executor == .worker(worker) }
            default: break
            }
        }
    }

    /// The coordinator dies and starts again; the first event of its new life shows what it does.
    private mutating func restart() -> [String] {
        scheduler.checkReplay()
        scheduler.restart()
        (outstanding, deadline) = ([], nil)
        return ["\(scheduler.journal.count) records folded"] + show(handle(.deadlineReached))
    }

    /// Everything that was given out is finished, in that order, until nothing is left.
    private mutating func rest() -> [String] {
        var lines: [String] = []
        while let (executor, lease) = outstanding.first {
            outstanding.removeFirst()
            if scheduler.scheduler.result(of: lease.unit) != nil { continue }
            let effects = finish(executor, lease, "")
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
            return "\(job.id): \(outcome), \(job.finishedUnits) of \(job.totalUnits) units"
        }
        let workers = scheduler.scheduler.workerStatuses.map { worker in
            "\(worker.id): holds \(worker.leasedUnits) units, computes \(worker.startedUnits)"
        }
        return jobs + workers
    }
}
