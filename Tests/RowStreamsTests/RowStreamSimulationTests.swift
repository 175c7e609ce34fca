import LinearAlgebra
import RowStreams
import TestSupport
import Testing
import UnitOperations

/// Streams, workers and clients that do anything at any time.
private struct Simulation {
    private static let workerCount = 4
    static let shape = RowSumShape(columns: 8, appendsOne: false, isDiagonal: false)
    /// Enough for 40 sums.
    static let memoryBytes = 40 * shape.memoryBytes

    var table = RowStreamTable<Int>()
    private var random: SplitMix64
    private var present: Set<Int> = []
    private(set) var open: Set<UInt64> = []
    private var rows: [UInt64: UInt64] = [:]
    /// The orders that workers have not obeyed yet.
    private var inbox: [(order: RowSumOrder, worker: Int)] = []
    private var nextStream: UInt64 = 0

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    static func sums(_ count: Int) -> [(tensor: String, shape: RowSumShape)] {
        (0..<count).map { ("\($0).A", shape) }
    }

    private mutating func perform(_ effects: [RowStreamEffect<Int>]) {
        for effect in effects {
            switch effect {
            case .order(let order, let worker):
                #expect(present.contains(worker))
                inbox.append((order, worker))
            case .fail(let stream, _): open.remove(stream)
            case .answer(let stream, _, _), .write(let stream, _, _): #expect(open.contains(stream))
            case .complete(let stream):
                #expect(open.contains(stream))
                perform(table.end(stream))
                open.remove(stream)
            }
        }
    }

    mutating func step() {
        switch Int.random(in: 0..<12, using: &random) {
        case 0: join(Int.random(in: 0..<Self.workerCount, using: &random))
        case 1: if let worker = present.randomElement(using: &random) { leave(worker) }
        case 2: begin()
        case 3: change { table, stream in table.commit(stream) + table.collect(stream) }
        case 4: endOne()
        case 5...7:
            guard let stream = open.randomElement(using: &random) else { return }
            perform(table.add(stream, sum: 0, firstRow: rows[stream] ?? 0, .f32, byteCount: 32))
            rows[stream, default: 0] += 1
        default: obey()
        }
    }

    private mutating func join(_ worker: Int) {
        table.join(worker, memoryBytes: Self.memoryBytes, lanes: 2)
        present.insert(worker)
    }

    private mutating func leave(_ worker: Int) {
        present.remove(worker)
        inbox.removeAll { $0.worker == worker }
        perform(table.leave(worker, reason: "lost"))
    }

    private mutating func begin() {
        let count = Int.random(in: 1...10, using: &random)
        guard let effects = try? table.open(nextStream, Self.sums(count)) else { return }
        open.insert(nextStream)
        perform(effects)
        nextStream += 1
    }

    private mutating func change(_ body: (inout RowStreamTable<Int>, UInt64) -> [RowStreamEffect<Int>]) {
        guard let stream = open.randomElement(using: &random) else { return }
        perform(body(&table, stream))
    }

    private mutating func endOne() {
        guard let stream = open.randomElement(using: &random) else { return }
        perform(table.end(stream))
        open.remove(stream)
    }

    /// A worker obeys one of its orders; its lanes may obey in any order.
    private mutating func obey() {
        guard let index = inbox.indices.randomElement(using: &random) else { return }
        let (order, worker) = inbox.remove(at: index)
        switch order {
        case .add(let name, _): perform(table.note(.taken(name), from: worker))
        case .send(let name, let offset, let count):
            perform(table.note(.bytes(name, offset: offset), byteCount: count, from: worker))
        case .begin, .finish, .end: return
        }
    }

    /// Ends all streams and workers, and lets all workers come back.
    mutating func restart() {
        while !open.isEmpty { endOne() }
        for worker in present { leave(worker) }
        for worker in 0..<Self.workerCount { join(worker) }
    }
}

@Suite struct RowStreamSimulationTests {
    @Test(arguments: 0..<200)
    func `memory is given back, and no order goes to a worker that is gone`(seed: UInt64) throws {
        var simulation = Simulation(seed: seed)
        for _ in 0..<400 { simulation.step() }
        #expect(simulation.table.count == simulation.open.count)
        simulation.restart()
        // All memory is free: as many sums fit as at first.
        _ = try simulation.table.open(.max, Simulation.sums(150))
    }
}
