import Glibc

/// Carries the bytes of a line's connections on its own thread.
final class LineCarrier {
    private let listener: Socket
    private let sleeper: Socket
    private let target: UInt16
    private var connections: [LineConnection] = []
    /// Ends that receive nothing any more; they stay open as long as the line.
    private var abandoned: [Socket] = []
    private var stallEnd = ContinuousClock.now
    private var refusalEnd = ContinuousClock.now
    private var delayEnd = ContinuousClock.now
    private var delay = Duration.zero
    /// A cut that waits for a connection.
    private var nextCut: LineFault?
    /// Connections that were ended by a fault.
    private(set) var cutConnections = 0

    /// Makes a carrier for the connections of a listener; bytes in `sleeper` wake it.
    init(listener: Socket, sleeper: Socket, target: UInt16) {
        (self.listener, self.sleeper, self.target) = (listener, sleeper, target)
    }

    /// Applies a fault.
    func suffer(_ fault: LineFault) {
        let now = ContinuousClock.now
        switch fault {
        case .reset: resetAll()
        case .cut(let byteCount, let end, let isAbrupt):
            if connections.isEmpty { nextCut = fault }
            for connection in connections { connection.cut(after: byteCount, from: end, isAbrupt: isAbrupt) }
        case .stall(let duration): stallEnd = max(stallEnd, now + duration)
        case .delay(let delay, let duration):
            self.delay = delay
            delayEnd = now + duration
        case .abandon(let end):
            abandoned += connections.map { $0.abandon(end) }
            forgetAll()
        case .refuse(let duration):
            refusalEnd = max(refusalEnd, now + duration)
            resetAll()
        }
    }

    /// Ends all faults.
    func heal() {
        (stallEnd, refusalEnd, delayEnd, nextCut) = (.now, .now, .now, nil)
        for connection in connections { connection.spare() }
    }

    private func resetAll() {
        for connection in connections { connection.reset() }
        forgetAll()
    }

    private func forgetAll() {
        cutConnections += connections.count
        connections.removeAll()
    }

    // MARK: - Carrying

    /// Moves what can be moved, then sleeps until there is more.
    func turn() {
        let now = ContinuousClock.now
        if now >= stallEnd {
            accept(now)
            let delay = now < delayEnd ? delay : .zero
            connections.removeAll { connection in
                switch connection.carry(at: now, delay: delay) {
                case .goesOn: return false
                case .isOver: return true
                case .isCut:
                    cutConnections += 1
                    return true
                }
            }
        }
        sleep(now)
    }

    private func accept(_ now: ContinuousClock.Instant) {
        while let near = listener.accepted() {
            guard now >= refusalEnd, let far = Socket.connected(to: target) else {
                near.resetOnClose()
                continue
            }
            connections.append(LineConnection(near: near, far: far))
            nextCut.take().map(suffer)
        }
    }

    private func sleep(_ now: ContinuousClock.Instant) {
        var descriptors = [pollfd(fd: sleeper.descriptor, events: Int16(POLLIN), revents: 0)]
        var end = now + .seconds(10)
        if now < stallEnd {
            end = min(end, stallEnd)
        } else {
            descriptors.append(pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0))
            descriptors += connections.flatMap { $0.interests(at: now) }
            end = connections.compactMap(\.nextArrival).filter { $0 > now }.reduce(end, min)
        }
        let milliseconds = (end - now) / .milliseconds(1)
        poll(&descriptors, nfds_t(descriptors.count), Int32(max(1, milliseconds.rounded(.up))))
        var wakeups = [UInt8](repeating: 0, count: 64)
        _ = sleeper.read(into: &wakeups)
    }
}
