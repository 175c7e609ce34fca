import Identifiers
import WireProtocol

/// The units that a worker was given, in the order in which they came, and those of them that its lanes compute.
///
/// Bound: the coordinator gives a worker only a few units beyond its lanes.
actor LeaseQueue {
    private var leases: [UnitLease] = []
    private var begun: [LeasedUnit: BegunUnit] = [:]
    private var waiters: [CheckedContinuation<BegunUnit?, Never>] = []
    private var isClosed = false

    /// How many have not begun.
    var count: Int { leases.count }

    /// Puts a unit behind the others, or hands it to a lane that waits; one that is here already is not taken twice.
    func add(_ lease: UnitLease) {
        let leased = lease.leased
        guard !isClosed, begun[leased] == nil, !leases.contains(where: { $0.leased == leased }) else { return }
        if waiters.isEmpty {
            leases.append(lease)
        } else {
            waiters.removeFirst().resume(returning: begin(lease))
        }
    }

    /// Forgets a unit, and ends its computation where it has begun: see `WorkerOrder.revoke`.
    func revoke(_ unit: LeasedUnit) {
        leases.removeAll { $0.leased == unit }
        begun[unit]?.revoke()
    }

    /// Forgets all units that have not begun: a coordinator that was restarted gives them out anew.
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
        begun[unit.leased] = nil
    }

    /// Ends the waiting of all lanes; what was queued is forgotten.
    func close() {
        isClosed = true
        leases.removeAll()
        for waiter in waiters { waiter.resume(returning: nil) }
        waiters.removeAll()
    }

    private func begin(_ lease: UnitLease) -> BegunUnit {
        let unit = BegunUnit(lease: lease)
        begun[unit.leased] = unit
        return unit
    }
}
