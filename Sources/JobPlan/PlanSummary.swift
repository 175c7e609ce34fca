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
}
