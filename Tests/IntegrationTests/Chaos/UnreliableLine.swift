import Foundation
import Synchronization

/// A TCP line between programs that connect and a program that listens; it fails as the test says.
///
/// A thread of its own carries the bytes. It ends with the last reference.
final class UnreliableLine: Sendable {
    /// The endpoint for the programs that connect.
    let endpoint: String
    private let orders = LineOrders()
    private let wakeup: Socket

    /// Opens a line to a port of this machine.
    ///
    /// - Throws: what the requirement throws when the kernel gives no socket.
    init(to port: UInt16) throws {
        let listener = try Socket.listening()
        let (sleeper, wakeup) = try Socket.pair()
        self.wakeup = wakeup
        endpoint = "tcp://127.0.0.1:\(listener.port)"
        Thread.detachNewThread { [orders] in
            let carrier = LineCarrier(listener: listener, sleeper: sleeper, target: port)
            while orders.direct(carrier) { carrier.turn() }
        }
    }

    deinit {
        orders.close()
        wake()
    }

    /// Applies a fault to the line.
    func suffer(_ fault: LineFault) {
        orders.add(fault)
        wake()
    }

    /// Ends all faults of the line; lost connections stay lost.
    func heal() {
        orders.heal()
        wake()
    }

    /// Connections that a fault ended.
    var cutConnections: Int { orders.cutConnections }

    private func wake() { _ = wakeup.write([0]) }
}

/// The orders to a line's thread, and its reports.
private final class LineOrders: Sendable {
    private struct State {
        var faults: [LineFault] = []
        var isHealed = false
        var isClosed = false
        var cutConnections = 0
    }

    private let state = Mutex(State())

    func add(_ fault: LineFault) { state.withLock { $0.faults.append(fault) } }

    func heal() { state.withLock { ($0.faults, $0.isHealed) = ([], true) } }

    func close() { state.withLock { $0.isClosed = true } }

    var cutConnections: Int { state.withLock { $0.cutConnections } }

    /// Passes the orders to a carrier; returns false when the carrier must end.
    func direct(_ carrier: LineCarrier) -> Bool {
        state.withLock { state in
            if state.isHealed { carrier.heal() }
            for fault in state.faults { carrier.suffer(fault) }
            (state.faults, state.isHealed, state.cutConnections) = ([], false, carrier.cutConnections)
            return !state.isClosed
        }
    }
}
