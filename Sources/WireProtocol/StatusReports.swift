public import Identifiers
public import JobPlan
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
    /// `nil` when it is not known, such as for jobs that ended before the coordinator started.
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
                memoryBytes: wire.memoryBytes, kernelSet: wire.kernelSet, build: ""),
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
        wire.kernelSet = hello.kernelSet
        wire.leasedUnits = UInt32(leasedUnits)
        wire.startedUnits = UInt32(startedUnits)
        wire.finishedUnits = UInt64(finishedUnits)
        wire.heldBlobs = UInt64(heldBlobs)
        wire.heldBytes = heldBytes
        wire.isDraining = isDraining
        return wire
    }
}

/// The cost of a job.
public struct PlanSummary: Equatable, Sendable {
    /// Units of one kind.
    public struct Stage: Equatable, Sendable {
        /// What the units do.
        public var name: String
        /// The number of units.
        public var units: Int
        /// Multiply-adds of these units.
        public var multiplyAdds: Double
        /// Bytes that the units read.
        public var inputBytes: UInt64
        /// Bytes that the units write.
        public var outputBytes: UInt64
        /// Peak memory of the largest unit, in bytes.
        public var memoryBytesMax: UInt64
        /// The number of units whose results are known from earlier work, so that they need no computation.
        public var knownUnits: Int

        /// Sums up a stage.
        public init(
            name: String, units: Int, multiplyAdds: Double, inputBytes: UInt64, outputBytes: UInt64,
            memoryBytesMax: UInt64, knownUnits: Int = 0
        ) {
            self.knownUnits = knownUnits
            self.name = name
            self.units = units
            self.multiplyAdds = multiplyAdds
            self.inputBytes = inputBytes
            self.outputBytes = outputBytes
            self.memoryBytesMax = memoryBytesMax
        }
    }

    /// The stages, in the order of the work.
    public var stages: [Stage]
    /// The worker unit that takes the most memory.
    public var largestUnit: String
    /// Linear layers with factors.
    public var layers: Int
    /// Other parameters with factors.
    public var parameters: Int
    /// Tasks.
    public var tasks: Int
    /// Bytes that cross the network when workers see the input files.
    public var wireBytes: UInt64
    /// Bytes of the output directory.
    public var diskBytes: UInt64
    /// Form of the regularizers, with the rank if the form has one; empty without regularizers.
    public var regularizer: String
    /// Notices about the job for a person.
    public var notices: [JobNotice]

    /// Sums up a plan.
    public init(
        stages: [Stage], largestUnit: String, layers: Int, parameters: Int, tasks: Int, wireBytes: UInt64,
        diskBytes: UInt64, regularizer: String, notices: [JobNotice] = []
    ) {
        self.notices = notices
        self.stages = stages
        self.largestUnit = largestUnit
        self.layers = layers
        self.parameters = parameters
        self.tasks = tasks
        self.wireBytes = wireBytes
        self.diskBytes = diskBytes
        self.regularizer = regularizer
    }

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
