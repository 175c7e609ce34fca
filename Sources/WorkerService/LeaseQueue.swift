import WireProtocol

/// The units that a worker was given and has not begun, in the order in which they came.
///
/// Bound: the coordinator gives a worker only a few units beyond its lanes.
actor LeaseQueue {
    private var leases: [UnitLease] = []
    private var waiters: [CheckedContinuation<UnitLease?, Never>] = []
    private var isClosed = false

    /// Puts a unit behind the others, or hands it to a lane that waits.
    func add(_ lease: UnitLease) {
        guard !isClosed else { return }
        if waiters.isEmpty {
            leases.append(lease)
        } else {
            waiters.removeFirst().resume(returning: lease)
        }
    }

    /// Forgets a unit that has not begun.
    func remove(_ unit: LeasedUnitName) {
        leases.removeAll { $0.unit == unit.unit && $0.attempt == unit.attempt }
    }

    /// Forgets all units that have not begun: a coordinator that was restarted gives them out anew.
    func removeAll() {
        leases.removeAll()
    }

    /// Waits for the next unit; `nil` when no more will come.
    func next() async -> UnitLease? {
        if !leases.isEmpty { return leases.removeFirst() }
        guard !isClosed else { return nil }
        return await withCheckedContinuation { waiters.append($0) }
    }

    /// Ends the waiting of all lanes; what was queued is forgotten.
    func close() {
        isClosed = true
        leases.removeAll()
        for waiter in waiters { waiter.resume(returning: nil) }
        waiters.removeAll()
    }
}
