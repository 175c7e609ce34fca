public import Identifiers
import Synchronization

/// The progress of the units that are being computed.
public final class ProgressBoard: Sendable {
    private let counters = Mutex<[UnitProgressCounter]>([])

    /// Starts without units.
    public init() {}

    /// Begins a unit.
    public func begin(_ unit: LeasedUnit) -> UnitProgressCounter {
        let counter = UnitProgressCounter(unit: unit)
        counters.withLock { $0.append(counter) }
        return counter
    }

    /// Ends a unit.
    public func end(_ counter: UnitProgressCounter) {
        counters.withLock { counters in counters.removeAll { $0 === counter } }
    }

    /// The units that are being computed, in the order of their start.
    public var progress: [UnitProgress] {
        counters.withLock { $0 }.map { UnitProgress(unit: $0.unit, steps: $0.steps) }
    }
}
