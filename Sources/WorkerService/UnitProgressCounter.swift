public import Identifiers
import Synchronization

/// The progress of one unit.
///
/// Its lane writes it; the connection and the watchdog read it.
public final class UnitProgressCounter: Sendable {
    /// The unit's attempt.
    public let unit: LeasedUnit
    private let count = Atomic<UInt64>(0)
    private let waits = Atomic<Bool>(false)

    /// Starts at zero.
    public init(unit: LeasedUnit) {
        self.unit = unit
    }

    /// Steps done: chunks and ranges read, written or fetched, kernels finished.
    public var steps: UInt64 { count.load(ordering: .relaxed) }

    /// Whether the unit waits for bytes from another machine.
    public var isWaiting: Bool { waits.load(ordering: .relaxed) }

    /// Sets whether the unit waits for bytes from another machine.
    func setWaiting(_ isWaiting: Bool) { waits.store(isWaiting, ordering: .relaxed) }

    /// Counts a step; a unit that is no longer wanted ends here.
    ///
    /// - Throws: `CancellationError` when the unit was cancelled.
    public func step() throws(CancellationError) {
        count.add(1, ordering: .relaxed)
        if Task.isCancelled { throw CancellationError() }
    }
}
