import WireProtocol

/// The units that a worker was given, in the order of arrival, and the units that its lanes compute.
///
/// Bound: the coordinator gives a worker only a few units beyond its lanes.
actor LeaseQueue {
    private var leases: [UnitLease] = []
    private var begun: [LeasedUnitName: BegunUnit] = [:]
    private var waiters: [CheckedContinuation<BegunUnit?, Never>] = []
    private var isClosed = false

    /// The number of units that have not begun.
    var count: Int { leases.count }

    /// Adds a unit at the end, or hands it to a lane that waits; a unit that is already here is not added twice.
    func add(_ lease: UnitLease) {
        let name = LeasedUnitName(lease.unit, lease.attempt)
        guard !isClosed, begun[name] == nil, !leases.contains(where: { $0.isAttempt(name) }) else { return }
        if waiters.isEmpty {
            leases.append(lease)
        } else {
            waiters.removeFirst().resume(returning: begin(lease))
        }
    }

    /// Forgets a unit, and ends its computation if it has begun.
    func revoke(_ unit: LeasedUnitName) {
        leases.removeAll { $0.isAttempt(unit) }
        begun[unit]?.revoke()
    }

    /// Forgets all units that have not begun, because a restarted coordinator gives them out again.
    func removeAll() {
        leases.removeAll()
    }

    /// Waits for the next unit; `nil` when no more will come.
    func next() async -> BegunUnit? {
        if !leases.isEmpty { return begin(leases.removeFirst()) }
        guard !isClosed else { return nil }
        return await withCheckedContinuation { waiters.append($0) }
    }

    /// Ends a unit that ``next()`` gave.
    func end(_ unit: BegunUnit) {
        begun[unit.name] = nil
    }

    /// Ends the waits of all lanes, and forgets the queued units.
    func close() {
        isClosed = true
        leases.removeAll()
        for waiter in waiters { waiter.resume(returning: nil) }
        waiters.removeAll()
    }

    private func begin(_ lease: UnitLease) -> BegunUnit {
        let unit = BegunUnit(lease: lease)
        begun[unit.name] = unit
        return unit
    }
}

extension UnitLease {
    /// Whether the lease is for this attempt of this unit.
    fileprivate func isAttempt(_ name: LeasedUnitName) -> Bool {
        unit == name.unit && attempt == name.attempt
    }
}
