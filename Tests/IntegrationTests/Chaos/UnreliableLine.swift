import Foundation
import Synchronization

/// A TCP line between programs that connect and one that listens, which breaks as the test says.
///
/// A thread of its own carries the bytes; it ends when the last reference goes away.
final class UnreliableLine: Sendable {
    /// Where the programs connect to.
    let endpoint: String
    private let orders = Mutex(Orders())
    private let wakeup: Socket

    /// What the thread is told, and what it tells.
    private struct Orders {
        var faults: [LineFault] = []
        var isHealed = false
        var cutConnections = 0
    }

    /// Opens a line to a port of this machine.
    ///
    /// - Throws: what the requirement throws when the kernel gives no socket.
    init(to port: UInt16) throws {
        let listener = try Socket.listening()
        let (sleeper, wakeup) = try Socket.pair()
        self.wakeup = wakeup
        endpoint = "tcp://127.0.0.1:\(listener.port)"
        Thread.detachNewThread { [weak self] in
            let carrier = LineCarrier(listener: listener, sleeper: sleeper, target: port)
            // No reference is held while the carrier sleeps: the line's end closes the socket that wakes it.
            while self?.direct(carrier) != nil { carrier.turn() }
        }
    }

    /// Lets something happen to the line.
    func suffer(_ fault: LineFault) {
        orders.withLock { $0.faults.append(fault) }
        wake()
    }

    /// Ends everything that is wrong with the line; connections that are lost stay so.
    func heal() {
        orders.withLock { orders in
            orders.faults.removeAll()
            orders.isHealed = true
        }
        wake()
    }

    /// Connections that were ended by a fault.
    var cutConnections: Int { orders.withLock { $0.cutConnections } }

    private func wake() { _ = wakeup.write([0]) }

    private func direct(_ carrier: LineCarrier) {
        orders.withLock { orders in
            if orders.isHealed { carrier.heal() }
            for fault in orders.faults { carrier.suffer(fault) }
            (orders.faults, orders.isHealed, orders.cutConnections) = ([], false, carrier.cutConnections)
        }
    }
}
