public import Identifiers
import JobPlan
import UnitOperations

/// The status of a job for clients.
public struct JobReport: Equatable, Sendable {
    /// The state of a job.
    public enum State: String, Equatable, Sendable {
        /// It runs.
        case running
        /// The job waits for something that a person may have to provide, such as disk space; the message says for
        /// what.
        case paused
        /// All outputs are written.
        case succeeded
        /// The job ended without outputs because the job file or its inputs are wrong.
        case badInput = "bad_input"
        /// The job ended without outputs.
        case failed
        /// A user ended the job.
        case cancelled
    }

    /// The job.
    public var job: JobID
    /// The job file's path.
    public var specPath: String
    /// The time of submission, in seconds since 1970.
    public var submittedAt: Double
    /// Finished units.
    public var finishedUnits: Int
    /// All units.
    public var totalUnits: Int
    /// Share of the planned cost that is done, from 0 to 1.
    public var fraction: Double
    /// The state of the job.
    public var state: State
    /// Why a failed job ended, or what a paused job waits for.
    public var message: String
    /// Absolute path of the output directory on the coordinator's machine.
    public var output: String
    /// The current activity.
    public var activity: String
    /// Seconds since the coordinator accepted or resumed the job, or the job's duration, by a monotonic clock.
    ///
    /// `nil` when it is not known, such as for jobs that ended or began before the coordinator started.
    public var elapsedSeconds: Double?
    /// The expected remaining seconds; `nil` while that is not known.
    public var leftSeconds: Double?

    /// Reports a job.
    public init(
        job: JobID, specPath: String, submittedAt: Double, finishedUnits: Int, totalUnits: Int, fraction: Double,
        state: State, message: String, output: String, activity: String, elapsedSeconds: Double? = nil,
        leftSeconds: Double? = nil
    ) {
        self.job = job
        self.specPath = specPath
        self.submittedAt = submittedAt
        self.finishedUnits = finishedUnits
        self.totalUnits = totalUnits
        self.fraction = fraction
        self.state = state
        self.message = message
        self.output = output
        self.activity = activity
        self.elapsedSeconds = elapsedSeconds
        self.leftSeconds = leftSeconds
    }

    init(_ wire: WireJobStatus) throws(WireError) {
        guard (0...1).contains(wire.fraction), wire.submittedAt.isFinite else {
            throw .malformed("a job's progress is \(wire.fraction), submitted at \(wire.submittedAt)")
        }
        for seconds in [wire.elapsedSeconds, wire.leftSeconds] {
            guard seconds.isFinite, seconds >= 0 else { throw .malformed("a job takes \(seconds) seconds") }
        }
        self.init(
            job: JobID(rawValue: wire.job), specPath: wire.specPath, submittedAt: wire.submittedAt,
            finishedUnits: try count(wire.finishedUnits, "a number of units"),
            totalUnits: try count(wire.totalUnits, "a number of units"), fraction: wire.fraction,
            state: try word(wire.state, "a job's state"), message: wire.message, output: wire.output,
            activity: wire.activity, elapsedSeconds: wire.hasElapsedSeconds ? wire.elapsedSeconds : nil,
            leftSeconds: wire.hasLeftSeconds ? wire.leftSeconds : nil)
    }

    var wire: WireJobStatus {
        var wire = WireJobStatus()
        wire.job = job.rawValue
        wire.specPath = specPath
        wire.submittedAt = submittedAt
        wire.finishedUnits = UInt64(finishedUnits)
        wire.totalUnits = UInt64(totalUnits)
        wire.fraction = fraction
        wire.state = state.rawValue
        wire.message = message
        wire.output = output
        wire.activity = activity
        if let elapsedSeconds { wire.elapsedSeconds = elapsedSeconds }
        if let leftSeconds { wire.leftSeconds = leftSeconds }
        return wire
    }
}

/// The status of a worker for clients.
public struct WorkerReport: Equatable, Sendable {
    /// The worker's identity and its offer.
    public var hello: WorkerHello
    /// Units that the worker holds.
    public var leasedUnits: Int
    /// Units that the worker is computing.
    public var startedUnits: Int
    /// Units that the worker has finished since it joined.
    public var finishedUnits: Int
    /// Blobs in the worker's store.
    public var heldBlobs: Int
    /// Bytes of these blobs.
    public var heldBytes: UInt64
    /// Whether the worker takes no new units and will leave.
    public var isDraining: Bool

    /// Reports a worker.
    public init(
        hello: WorkerHello, leasedUnits: Int, startedUnits: Int, finishedUnits: Int, heldBlobs: Int = 0,
        heldBytes: UInt64 = 0, isDraining: Bool = false
    ) {
        self.heldBlobs = heldBlobs
        self.heldBytes = heldBytes
        self.isDraining = isDraining
        self.hello = hello
        self.leasedUnits = leasedUnits
        self.startedUnits = startedUnits
        self.finishedUnits = finishedUnits
    }

    init(_ wire: WireWorkerStatus) throws(WireError) {
        self.init(
            hello: WorkerHello(
                worker: WorkerID(rawValue: wire.worker), host: wire.host, lanes: try count(wire.lanes, "lanes"),
                memoryBytes: wire.memoryBytes, regime: NumericRegime(wire.regime), build: ""),
            leasedUnits: try count(wire.leasedUnits, "a number of units"),
            startedUnits: try count(wire.startedUnits, "a number of units"),
            finishedUnits: try count(wire.finishedUnits, "a number of units"),
            heldBlobs: try count(wire.heldBlobs, "a number of blobs"), heldBytes: wire.heldBytes,
            isDraining: wire.isDraining)
    }

    var wire: WireWorkerStatus {
        var wire = WireWorkerStatus()
        wire.worker = hello.worker.rawValue
        wire.host = hello.host
        wire.lanes = UInt32(hello.lanes)
        wire.memoryBytes = hello.memoryBytes
        wire.regime = hello.regime.wire
        wire.leasedUnits = UInt32(leasedUnits)
        wire.startedUnits = UInt32(startedUnits)
        wire.finishedUnits = UInt64(finishedUnits)
        wire.heldBlobs = UInt64(heldBlobs)
        wire.heldBytes = heldBytes
        wire.isDraining = isDraining
        return wire
    }
}

extension PlanSummary {
    init(_ wire: WirePlanSummary) throws(WireError) {
        self.init(
            stages: try list(wire.stages, "the list of stages") { stage throws(WireError) in
                Stage(
                    name: stage.name, units: try count(stage.units, "a number of units"),
                    multiplyAdds: stage.multiplyAdds, inputBytes: stage.inputBytes, outputBytes: stage.outputBytes,
                    memoryBytesMax: stage.memoryBytesMax,
                    knownUnits: try count(stage.knownUnits, "a number of units"))
            },
            largestUnit: wire.largestUnit, layers: try count(wire.layers, "a number of layers"),
            parameters: try count(wire.parameters, "a number of parameters"),
            tasks: try count(wire.tasks, "a number of tasks"), wireBytes: wire.wireBytes, diskBytes: wire.diskBytes,
            regularizer: wire.regularizer, notices: wire.notices.map { JobNotice(at: $0.location, $0.message) })
    }

    var wire: WirePlanSummary {
        var wire = WirePlanSummary()
        wire.stages = stages.map { stage in
            var wire = WirePlanStage()
            wire.name = stage.name
            wire.units = UInt64(stage.units)
            wire.multiplyAdds = stage.multiplyAdds
            wire.inputBytes = stage.inputBytes
            wire.outputBytes = stage.outputBytes
            wire.memoryBytesMax = stage.memoryBytesMax
            wire.knownUnits = UInt64(stage.knownUnits)
            return wire
        }
        wire.largestUnit = largestUnit
        wire.layers = UInt64(layers)
        wire.parameters = UInt64(parameters)
        wire.tasks = UInt64(tasks)
        wire.wireBytes = wireBytes
        wire.diskBytes = diskBytes
        wire.regularizer = regularizer
        wire.notices = notices.map(\.wire)
        return wire
    }
}
