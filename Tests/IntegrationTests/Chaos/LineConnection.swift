import Glibc

/// One connection of a line: two sockets, and the bytes between them.
final class LineConnection {
    private let near: Socket
    private let far: Socket
    private var outward = LineFlow()
    private var inward = LineFlow()
    private var isCutAbrupt = false

    /// The state of a connection after its bytes were carried.
    enum Outcome {
        case goesOn
        case isOver
        case isCut
    }

    init(near: Socket, far: Socket) { (self.near, self.far) = (near, far) }

    /// Moves what can be moved in both directions.
    func carry(at now: ContinuousClock.Instant, delay: Duration) -> Outcome {
        let ends = [outward.carry(from: near, to: far, now, delay), inward.carry(from: far, to: near, now, delay)]
        if ends.contains(.isBroken) {
            reset()
            return .isOver
        }
        if ends.contains(.isCut) {
            if isCutAbrupt { reset() }
            return .isCut
        }
        return ends == [.hasEnded, .hasEnded] ? .isOver : .goesOn
    }

    // MARK: - Faults

    /// Resets both ends.
    func reset() {
        near.resetOnClose()
        far.resetOnClose()
    }

    /// Resets one end.
    ///
    /// - Returns: The end that is not told.
    func abandon(_ end: LineFault.End) -> Socket {
        let (deaf, reset) = end == .near ? (near, far) : (far, near)
        reset.resetOnClose()
        return deaf
    }

    /// Lets only this number of bytes from an end through.
    func cut(after byteCount: Int, from end: LineFault.End, isAbrupt: Bool) {
        isCutAbrupt = isAbrupt
        if end == .near { outward.limit = byteCount } else { inward.limit = byteCount }
    }

    /// Removes a cut that has not happened yet.
    func spare() { (outward.limit, inward.limit) = (nil, nil) }

    // MARK: - Sleeping

    /// The events to wait for; an end without any is left out, because its hang-up would end every sleep.
    func interests(at now: ContinuousClock.Instant) -> [pollfd] {
        [(near, outward, inward), (far, inward, outward)].compactMap { socket, reading, writing in
            let events = (reading.hasRoom ? POLLIN : 0) | (writing.nextArrival.map { $0 <= now } ?? false ? POLLOUT : 0)
            return events == 0 ? nil : pollfd(fd: socket.descriptor, events: Int16(events), revents: 0)
        }
    }

    /// The time when the next delayed bytes arrive.
    var nextArrival: ContinuousClock.Instant? {
        [outward.nextArrival, inward.nextArrival].compactMap(\.self).min()
    }
}

/// The bytes that travel in one direction.
struct LineFlow {
    private static let capacity = 256 << 10

    /// The state of a direction.
    enum Outcome {
        case goesOn
        case hasEnded
        case isCut
        case isBroken
    }

    private var chunks: [(arrival: ContinuousClock.Instant, bytes: ArraySlice<UInt8>)] = []
    private var byteCount = 0
    private var isSourceEnded = false
    private var isTargetTold = false
    private var isCut = false
    /// The bytes that still get through before the cut.
    var limit: Int?

    /// Whether there is room to read more.
    var hasRoom: Bool { byteCount < Self.capacity && !isSourceEnded }

    /// The time when the oldest bytes arrive.
    var nextArrival: ContinuousClock.Instant? { chunks.first?.arrival }

    /// Reads as much as there is room for, and writes what has arrived.
    mutating func carry(
        from source: Socket, to target: Socket, _ now: ContinuousClock.Instant, _ delay: Duration
    ) -> Outcome {
        guard read(source, arrival: now + delay), write(target, now) else { return .isBroken }
        guard isSourceEnded, chunks.isEmpty else { return .goesOn }
        if isCut { return .isCut }
        if !isTargetTold {
            isTargetTold = true
            target.endWriting()
        }
        return .hasEnded
    }

    private mutating func read(_ source: Socket, arrival: ContinuousClock.Instant) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while hasRoom {
            switch source.read(into: &buffer) {
            case .moved(let count):
                let passing = min(count, limit ?? count)
                limit = limit.map { $0 - passing }
                chunks.append((arrival, buffer[..<passing]))
                byteCount += passing
                if limit == 0 { (isSourceEnded, isCut) = (true, true) }
            case .ended: isSourceEnded = true
            case .wouldBlock: return true
            case .broken: return false
            }
        }
        return true
    }

    private mutating func write(_ target: Socket, _ now: ContinuousClock.Instant) -> Bool {
        while let first = chunks.first, first.arrival <= now {
            switch target.write(first.bytes) {
            case .moved(let count):
                byteCount -= count
                chunks[0].bytes = first.bytes.dropFirst(count)
                if chunks[0].bytes.isEmpty { chunks.removeFirst() }
            case .wouldBlock: return true
            case .ended, .broken: return false
            }
        }
        return true
    }
}
