/// One attempt at a unit.
public struct LeasedUnit: Hashable, Sendable {
    /// The unit.
    public var unit: UnitReference
    /// The number of the attempt.
    public var attempt: Attempt

    /// Names a lease.
    public init(_ unit: UnitReference, _ attempt: Attempt) {
        self.unit = unit
        self.attempt = attempt
    }
}

/// The progress of a unit, as its computation counts it.
public struct UnitProgress: Hashable, Sendable {
    /// The unit's attempt.
    public var unit: LeasedUnit
    /// The steps done: chunks read and kernels finished.
    ///
    /// A lease stays alive while the count rises.
    public var steps: UInt64

    /// Describes a unit's progress.
    public init(unit: LeasedUnit, steps: UInt64) {
        self.unit = unit
        self.steps = steps
    }
}
