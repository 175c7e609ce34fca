/// A unit in somebody's hands: which unit, and which of its attempts.
public struct LeasedUnit: Hashable, Sendable {
    /// The unit.
    public var unit: UnitReference
    /// Which attempt this is.
    public var attempt: Attempt

    /// Names a lease.
    public init(_ unit: UnitReference, _ attempt: Attempt) {
        self.unit = unit
        self.attempt = attempt
    }
}

/// How far a unit has come, as it counts itself.
public struct UnitProgress: Hashable, Sendable {
    /// The unit's attempt.
    public var unit: LeasedUnit
    /// Steps done, as chunks are read and kernels finish; a lease lives as long as they rise.
    public var steps: UInt64

    /// States how far a unit has come.
    public init(unit: LeasedUnit, steps: UInt64) {
        self.unit = unit
        self.steps = steps
    }
}
