/// What rates depend on: the arithmetic, the processor and the number of lanes.
public struct RatedMachine: Equatable, Sendable, Codable {
    /// The BLAS library, its version and its kernels, and the kernels besides: `OpenBLAS 0.3.26 SkylakeX`.
    public var kernels: String
    /// The processor, as the system names it.
    public var processor: String
    /// The lanes that computed at once while the rates were measured.
    public var lanes: Int

    /// Describes a machine.
    public init(kernels: String, processor: String, lanes: Int) {
        self.kernels = kernels
        self.processor = processor
        self.lanes = lanes
    }
}

/// Measured rates with what they belong to, as they are remembered between commands.
public struct RateRecord: Equatable, Sendable, Codable {
    /// Raise this whenever a rate is measured differently.
    static let currentVersion = 2

    private var version = Self.currentVersion
    /// The machine that was measured.
    public var machine: RatedMachine
    /// When it was measured, in seconds since 1970.
    public var measuredAt: Double
    /// What was measured.
    public var rates: MachineRates
    /// Bytes a second that become durable, of each file system, by its device number.
    public var disks: [String: Double]

    /// Records rates.
    public init(machine: RatedMachine, measuredAt: Double, rates: MachineRates, disks: [String: Double] = [:]) {
        self.machine = machine
        self.measuredAt = measuredAt
        self.rates = rates
        self.disks = disks
    }

    /// Whether the record can be used on a machine: its rates are of this machine, and are rates.
    ///
    /// A record comes from a file that anything may have changed.
    public func isValid(on machine: RatedMachine) -> Bool {
        version == Self.currentVersion && self.machine == machine && rates.isComplete
            && disks.values.allSatisfy(\.isRate) && measuredAt.isFinite && measuredAt >= 0
    }
}
