public import Identifiers
public import JobPlan
import UnitOperations

/// A job, as clients see it.
public struct JobReport: Equatable, Sendable {
    /// How far a job has come.
    public enum State: String, Equatable, Sendable {
        /// It runs.
        case running
        /// It waits for something that a person may have to give, such as disk space; its message says for what.
        case paused
        /// All outputs are written.
        case succeeded
        /// It ended without outputs; the job file or its inputs are wrong.
        case badInput = "bad_input"
        /// It ended without outputs.
        case failed
        /// A user ended it.
        case cancelled
    }

    /// The job.
    public var job: JobID
    /// The job file's path.
    public var specPath: String
    /// When it was submitted, in seconds since 1970.
    public var submittedAt: Double
    /// Finished units.
    public var finishedUnits: Int
    /// All units.
    public var totalUnits: Int
    /// Share of the planned cost that is done, from 0 to 1.
    public var fraction: Double
    /// How far it has come.
    public var state: State
    /// Why it ended, when it failed; what it waits for, when it cannot go on.
    public var message: String
    /// Absolute path of the output directory on the coordinator's machine.
    public var output: String
    /// What is being done.
    public var activity: String
    /// Seconds since the coordinator took the job in or up, or that it took, by a clock that nobody sets; `nil` when
    /// that is not known, as of jobs that ended before the coordinator started.
    public var elapsedSeconds: Double?
    /// Seconds that it is expected to take from now on; `nil` as long as that is not known.
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

/// A worker, as clients see it.
public struct WorkerReport: Equatable, Sendable {
    /// Who it is and what it offers.
    public var hello: WorkerHello
    /// Units in its hands.
    public var leasedUnits: Int
    /// Units that it is computing.
    public var startedUnits: Int
    /// Units that it has finished since it joined.
    public var finishedUnits: Int
    /// Blobs in its store.
    public var heldBlobs: Int
    /// Their bytes.
    public var heldBytes: UInt64
    /// Whether it takes no new units and is about to leave.
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

/// What running a job would take.
public struct PlanSummary: Equatable, Sendable {
    /// Units of one kind.
    public struct Stage: Equatable, Sendable {
        /// What they do.
        public var name: String
        /// How many.
        public var units: Int
        /// Their multiply-adds.
        public var multiplyAdds: Double
        /// Bytes that they read.
        public var inputBytes: UInt64
        /// Bytes that they make.
        public var outputBytes: UInt64
        /// Peak memory of the largest, in bytes.
        public var memoryBytesMax: UInt64
        /// How many of them need not be computed: their results are known from earlier work.
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
    /// Form of the regularizers, with the rank where it has one; empty when the job makes none.
    public var regularizer: String
    /// What a person should know of the job.
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
