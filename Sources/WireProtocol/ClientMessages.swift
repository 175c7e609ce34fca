public import Identifiers
public import JobPlan

/// A request of a client to the coordinator.
public enum ClientRequest: Equatable, Sendable {
    /// Run a job.
    case submit(Submission)
    /// Report the cost of a job.
    case plan(Submission)
    /// List the jobs.
    case jobs
    /// Report a job's progress.
    case status(JobID)
    /// End a job.
    case cancel(JobID)
    /// List the workers.
    case workers
    /// Let a worker finish its current units and leave.
    case drain(WorkerID)
    /// List the files that a finished job wrote.
    case outputs(JobID)
    /// Send bytes of one output file.
    case outputRange(JobID, path: String, offset: UInt64, byteCount: UInt64)
    /// Send the log lines about a job after a line.
    case log(JobID, after: UInt64)
    /// Begin a push, or go on with it; the request's number names the push.
    case pushOffer(PushOffer)
    /// Take the next bytes of the push, in the second frame.
    case pushChunk(offset: UInt64)
    /// Take the next rows of the push, in the second frame.
    case pushRows(PushedRows)
    /// Make the sums of the push durable: values for the file's metadata.
    case pushCommit(metadata: [String: String])
    /// List the pushed runs.
    case runs
    /// Remove a run that no job uses.
    case removeRun(RunName)

    init(_ wire: WireClientRequest) throws(WireError) {
        switch wire.body {
        case .submit(let submission): self = .submit(Submission(submission))
        case .plan(let submission): self = .plan(Submission(submission))
        case .jobs: self = .jobs
        case .status(let job): self = .status(JobID(rawValue: job))
        case .cancel(let job): self = .cancel(JobID(rawValue: job))
        case .workers: self = .workers
        case .drain(let worker): self = .drain(WorkerID(rawValue: worker))
        case .outputs(let job): self = .outputs(JobID(rawValue: job))
        case .outputRange(let range):
            guard !range.offset.addingReportingOverflow(range.byteCount).overflow else {
                throw .malformed("a range ends behind 2^64")
            }
            self = .outputRange(
                JobID(rawValue: range.job), path: range.path, offset: range.offset, byteCount: range.byteCount)
        case .log(let log): self = .log(JobID(rawValue: log.job), after: log.after)
        case .pushOffer(let offer): self = .pushOffer(try PushOffer(offer))
        case .pushChunk(let chunk): self = .pushChunk(offset: chunk.offset)
        case .pushRows(let rows): self = .pushRows(try PushedRows(rows))
        case .pushCommit(let commit): self = .pushCommit(metadata: commit.metadata)
        case .runs: self = .runs
        case .removeRun(let run): self = .removeRun(RunName(rawValue: run))
        case nil: throw .malformed("a request has no body")
        }
    }

    var wire: WireClientRequest {
        var wire = WireClientRequest()
        switch self {
        case .submit(let submission): wire.submit = submission.wire
        case .plan(let submission): wire.plan = submission.wire
        case .jobs: wire.jobs = WireListJobs()
        case .status(let job): wire.status = job.rawValue
        case .cancel(let job): wire.cancel = job.rawValue
        case .workers: wire.workers = WireListWorkers()
        case .drain(let worker): wire.drain = worker.rawValue
        case .outputs(let job): wire.outputs = job.rawValue
        case .outputRange(let job, let path, let offset, let byteCount):
            wire.outputRange.job = job.rawValue
            wire.outputRange.path = path
            wire.outputRange.offset = offset
            wire.outputRange.byteCount = byteCount
        case .log(let job, let number):
            wire.log.job = job.rawValue
            wire.log.after = number
        case .pushOffer(let offer): wire.pushOffer = offer.wire
        case .pushChunk(let offset): wire.pushChunk.offset = offset
        case .pushRows(let rows): wire.pushRows = rows.wire
        case .pushCommit(let metadata): wire.pushCommit.metadata = metadata
        case .runs: wire.runs = WireListRuns()
        case .removeRun(let run): wire.removeRun = run.rawValue
        }
        return wire
    }
}

extension Submission {
    init(_ wire: WireSubmission) {
        self.init(
            specText: wire.specText, specPath: wire.specPath, overwrites: wire.overwrites,
            output: wire.hasOutput ? wire.output : nil)
    }

    var wire: WireSubmission {
        var wire = WireSubmission()
        wire.specText = specText
        wire.specPath = specPath
        wire.overwrites = overwrites
        if let output { wire.output = output }
        return wire
    }
}

/// An answer of the coordinator.
public enum ClientReply: Equatable, Sendable {
    /// The request failed.
    case failure(RequestFailure)
    /// The job runs.
    case accepted(JobID, isRunningAlready: Bool, notices: [JobNotice] = [])
    /// The cost of a job.
    case plan(PlanSummary)
    /// The jobs.
    case jobs([JobReport])
    /// The workers.
    case workers([WorkerReport])
    /// The files of a job.
    case outputs([OutputFile])
    /// Bytes of a file, in the second frame.
    case outputChunk(offset: UInt64)
    /// The progress of an answer that takes long.
    case progress(String)
    /// The first or latest items of a list that is too long for a message, and the number of the others.
    indirect case cut(ClientReply, further: Int)
    /// The log lines about a job, and whether the job has ended, so that no more follow.
    case log([JobLogLine], isComplete: Bool)
    /// How far a push has come.
    case push(PushState)
    /// The pushed runs.
    case runs(RunList)

    init(_ wire: WireClientReply) throws(WireError) {
        guard wire.further == 0 else {
            var list = wire
            list.further = 0
            self = .cut(try ClientReply(list), further: try count(wire.further, "a number of further items"))
            return
        }
        switch wire.body {
        case .failure(let failure): self = .failure(try RequestFailure(failure))
        case .accepted(let accepted):
            self = .accepted(
                JobID(rawValue: accepted.job), isRunningAlready: accepted.isRunningAlready,
                notices: accepted.notices.map { JobNotice(at: $0.location, $0.message) })
        case .plan(let plan): self = .plan(try PlanSummary(plan))
        case .jobs(let jobs):
            self = .jobs(try list(jobs.jobs, "the list of jobs") { job throws(WireError) in try JobReport(job) })
        case .workers(let workers):
            self = .workers(
                try list(workers.workers, "the list of workers") { worker throws(WireError) in try WorkerReport(worker)
                })
        case .outputs(let outputs):
            self = .outputs(outputs.files.map { OutputFile(path: $0.path, byteCount: $0.byteCount) })
        case .outputChunkOffset(let offset): self = .outputChunk(offset: offset)
        case .log(let log):
            let lines = try list(log.lines, "the list of log lines") { line throws(WireError) in JobLogLine(line) }
            self = .log(lines, isComplete: log.isComplete)
        case .progress(let text): self = .progress(text)
        case .push(let state): self = .push(try PushState(state))
        case .runs(let runs): self = .runs(try RunList(runs))
        case nil: throw .malformed("a reply has no body")
        }
    }

    var wire: WireClientReply {
        var wire = WireClientReply()
        switch self {
        case .failure(let failure): wire.failure = failure.wire
        case .accepted(let job, let isRunningAlready, let notices):
            wire.accepted.notices = notices.map(\.wire)
            wire.accepted.job = job.rawValue
            wire.accepted.isRunningAlready = isRunningAlready
        case .plan(let plan): wire.plan = plan.wire
        case .jobs(let jobs):
            wire.jobs = WireJobList()
            wire.jobs.jobs = jobs.map(\.wire)
        case .workers(let workers):
            wire.workers = WireWorkerList()
            wire.workers.workers = workers.map(\.wire)
        case .outputs(let files):
            wire.outputs = WireOutputList()
            wire.outputs.files = files.map { file in
                var wire = WireOutputFile()
                wire.path = file.path
                wire.byteCount = file.byteCount
                return wire
            }
        case .outputChunk(let offset): wire.outputChunkOffset = offset
        case .progress(let text): wire.progress = text
        case .cut(let list, let further):
            wire = list.wire
            wire.further = UInt64(further)
        case .log(let lines, let isComplete):
            wire.log.lines = lines.map(\.wire)
            wire.log.isComplete = isComplete
        case .push(let state): wire.push = state.wire
        case .runs(let runs): wire.runs = runs.wire
        }
        return wire
    }
}

extension JobNotice {
    var wire: WireProblem {
        var wire = WireProblem()
        wire.location = location
        wire.message = message
        return wire
    }
}

/// Why a request failed.
public struct RequestFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kind of failure, which decides the client's exit code.
    public enum Kind: String, Equatable, Sendable {
        /// The job file or its inputs are wrong.
        case badInput = "bad_input"
        /// The job does not exist.
        case unknownJob = "unknown_job"
        /// The client's key does not allow the request.
        case notPermitted = "not_permitted"
        /// The coordinator has no place now, or a push is not open any more; the same offer may soon succeed.
        case busy
        /// The coordinator could not carry out the request.
        case world
    }

    /// The kind of failure.
    public var kind: Kind
    /// All problems.
    public var problems: [JobProblem]

    /// States all reasons of a failed request.
    public init(kind: Kind, problems: [JobProblem]) {
        self.kind = kind
        self.problems = problems
    }

    /// States the only reason of a failed request.
    public init(kind: Kind, at location: String, _ message: String) {
        self.init(kind: kind, problems: [JobProblem(at: location, message)])
    }

    /// Makes a refusal into the failure of a request.
    ///
    /// An interrupted check says nothing about the job.
    public init(_ refusal: JobRefusal) {
        self.init(kind: refusal.isInterruption ? .world : .badInput, problems: refusal.problems)
    }

    /// One line for each problem.
    public var description: String { problems.lazy.map(\.description).cutLines }

    init(_ wire: WireRequestFailure) throws(WireError) {
        self.init(
            kind: try word(wire.kind, "a failure's kind"),
            problems: wire.problems.map { JobProblem(at: $0.location, $0.message) })
    }

    var wire: WireRequestFailure {
        var wire = WireRequestFailure()
        wire.kind = kind.rawValue
        wire.problems = problems.map { problem in
            var wire = WireProblem()
            wire.location = problem.location
            wire.message = problem.message
            return wire
        }
        return wire
    }
}

/// A file that a job wrote.
public struct OutputFile: Equatable, Sendable {
    /// The path within the output directory.
    public var path: String
    /// Size in bytes.
    public var byteCount: UInt64

    /// Names a file.
    public init(path: String, byteCount: UInt64) {
        self.path = path
        self.byteCount = byteCount
    }
}
