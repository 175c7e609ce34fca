import Identifiers
import LinearAlgebra
import RowStreams
import TestSupport
import Testing
import UnitOperations

/// Workers are numbers here.
private typealias Table = RowStreamTable<Int>

private func sum(_ tensor: String, columns: Int = 8, bias: Bool = false) -> (tensor: String, shape: RowSumShape) {
    (tensor, RowSumShape(columns: columns, appendsOne: bias, isDiagonal: false))
}

/// A table with workers that have memory for about `sums` sums of 8 columns each.
private func table(workers: Int = 1, sums: UInt64 = 100) -> Table {
    var table = Table()
    let shape = sum("any").shape
    for worker in 0..<workers {
        table.join(worker, memoryBytes: sums * shape.memoryBytes + 2 * shape.scratchBytes, lanes: 2)
    }
    return table
}

extension [RowStreamEffect<Int>] {
    fileprivate var orders: [(order: RowSumOrder, worker: Int)] {
        compactMap { if case .order(let order, let worker) = $0 { (order, worker) } else { nil } }
    }

    fileprivate var errors: [RowStreamError] {
        compactMap { if case .fail(_, let error) = $0 { error } else { nil } }
    }
}

@Suite struct RowStreamTableTests {
    // MARK: - Sums and workers

    @Test func `the work of a stream is spread over the workers by their lanes`() throws {
        var table = Table()
        table.join(0, memoryBytes: 1 << 30, lanes: 1)
        table.join(1, memoryBytes: 1 << 30, lanes: 3)
        let effects = try table.open(1, (0..<40).map { sum("\($0).A") })
        let counts = effects.orders.reduce(into: [:]) { $0[$1.worker, default: 0] += 1 }
        #expect(counts == [0: 10, 1: 30])
        #expect(effects.last == .answer(stream: 1, takenBytes: 0, credit: RowStreamLimits.creditMax))
    }

    @Test func `a worker without memory for rows gets no sums`() throws {
        var table = Table()
        table.join(0, memoryBytes: 0, lanes: 8)
        #expect(throws: RowStreamError.noWorker) { _ = try table.open(1, [sum("x.A")]) }
        table.join(1, memoryBytes: 1 << 30, lanes: 1)
        #expect(try table.open(1, [sum("x.A")]).orders.map(\.worker) == [1])
    }

    @Test func `a draining worker keeps its sums and gets no more`() throws {
        var table = table()
        _ = try table.open(1, [sum("x.A")])
        table.drain(0)
        #expect(throws: RowStreamError.noWorker) { _ = try table.open(2, [sum("y.A")]) }
        #expect(!table.add(1, sum: 0, firstRow: 0, .f32, byteCount: 32).orders.isEmpty)
    }

    @Test func `sums that no memory holds are refused by what would help`() throws {
        var table = table(workers: 2, sums: 3)
        let shape = sum("any").shape
        #expect {
            _ = try table.open(1, (0..<7).map { sum("\($0).A") })
        } throws: {
            guard case .tooLarge(let needed, let capacity)? = $0 as? RowStreamError else { return false }
            return needed > 7 * shape.memoryBytes && capacity < needed
        }
        _ = try table.open(1, (0..<4).map { sum("\($0).A") })
        #expect {
            _ = try table.open(2, (0..<3).map { sum("\($0).A") })
        } throws: {
            if case .noRoom? = $0 as? RowStreamError { true } else { false }
        }
        #expect {
            _ = try table.open(2, [sum("wide.A", columns: 5000)])
        } throws: {
            guard case .sumTooLarge("wide.A", let needed, let largest)? = $0 as? RowStreamError else { return false }
            return needed > largest
        }
        // Nothing was taken by what was refused.
        _ = try table.open(2, (0..<2).map { sum("\($0).A") })
    }

    @Test func `memory of ended streams is free again`() throws {
        var table = table(workers: 3, sums: 4)
        for number in UInt64(1)...50 {
            _ = try table.open(number, (0..<12).map { sum("\($0).A") })
            let ended = number.isMultiple(of: 2) ? table.end(number) : table.commit(number) + table.commit(number)
            #expect(ended.orders.suffix(3).map(\.order) == Array(repeating: .end(stream: number), count: 3))
            #expect(table.count == 0)
        }
    }

    // MARK: - The life of a stream

    @Test func `a stream ends with all its sums, asked for in ranges within the bound`() throws {
        var table = table(workers: 2)
        // 8 MB each: eight ranges.
        let shapes = ["x.A", "x.B", "y.A"].map { sum($0, columns: 1447) }
        for worker in 2..<4 { table.join(worker, memoryBytes: 1 << 30, lanes: 1) }
        _ = try table.open(7, shapes)
        let added = table.add(7, sum: 1, firstRow: 0, .bf16, byteCount: 2 * 1447 * 3)
        let (order, worker) = try #require(added.orders.first)
        #expect(order == .add(RowSumName(stream: 7, sum: 1), .bf16))
        #expect(table.rowCounts(of: 7) == [0, 3, 0])
        #expect(
            table.note(.taken(RowSumName(stream: 7, sum: 1)), from: worker)
                == [.answer(stream: 7, takenBytes: 8682, credit: RowStreamLimits.creditMax)])
        #expect(table.commit(7).orders.count == 3)

        var waiting = table.collect(7).orders
        var written = [UInt64](repeating: 0, count: 3)
        var isComplete = false
        while !waiting.isEmpty {
            #expect(waiting.count <= RowStreamLimits.rangesMax)
            // Lanes of workers may answer in any order.
            let (order, worker) = waiting.remove(at: waiting.count / 2)
            guard case .send(let name, let offset, let count) = order else {
                Issue.record("\(order)")
                return
            }
            let effects = table.note(.bytes(name, offset: offset), byteCount: count, from: worker)
            #expect(effects.first == .write(stream: 7, sum: name.sum, offset: offset))
            written[name.sum] += UInt64(count)
            waiting += effects.orders
            if effects.last == .complete(stream: 7) {
                #expect(waiting.isEmpty)
                isComplete = true
            }
        }
        #expect(isComplete)
        #expect(written == shapes.map(\.shape.byteCount))
        #expect(table.isCommitted(7))
        _ = table.end(7)
    }

    @Test func `the credit falls with the number of streams and never below the least`() throws {
        var table = table(workers: 1, sums: 1000)
        for number in UInt64(1)...64 {
            let effects = try table.open(number, [sum("x.A")])
            guard case .answer(_, _, let credit)? = effects.last else {
                Issue.record("no answer")
                return
            }
            #expect(credit >= RowStreamLimits.creditMin && credit <= RowStreamLimits.creditMax)
            #expect(credit == RowStreamLimits.creditMin || credit * Int(number) <= RowStreamLimits.creditOfAll)
        }
    }

    // MARK: - What goes wrong

    @Test func `a worker that is gone ends its streams, and the others keep theirs`() throws {
        var table = table(workers: 2, sums: 2)
        _ = try table.open(1, [sum("x.A"), sum("x.B")])
        _ = try table.open(2, [sum("y.A")])
        let other = try #require(table.add(2, sum: 0, firstRow: 0, .f32, byteCount: 32).orders.first?.worker)
        let effects = table.leave(1 - other, reason: "its connection broke")
        #expect(effects.errors.count == 1)
        #expect(effects.errors.first?.remedy == .again)
        // Only the worker that is still there is told.
        #expect(effects.orders.map(\.worker) == [other])
        #expect(!table.add(2, sum: 0, firstRow: 1, .f32, byteCount: 32).orders.isEmpty)
        #expect(table.add(1, sum: 0, firstRow: 0, .f32, byteCount: 32).isEmpty)
    }

    @Test(
        arguments: [
            (2, 0, 32, "no such sum"), (0, 1, 32, "a gap"), (0, 0, 33, "no whole rows"), (0, 0, 0, "nothing"),
            (0, 0, 2 << 20, "too much"), (-1, 0, 32, "a negative sum"),
        ] as [(Int, UInt64, Int, String)])
    func `rows that do not fit end the stream and tell a person`(
        sum number: Int, firstRow: UInt64, byteCount: Int, what: String
    ) throws {
        var table = table()
        _ = try table.open(1, [sum("x.A"), sum("x.B")])
        let effects = table.add(1, sum: number, firstRow: firstRow, .f32, byteCount: byteCount)
        #expect(effects.errors.map(\.remedy) == [.correct], "\(what)")
        #expect(effects.orders.map(\.order) == [.end(stream: 1)])
        #expect(table.count == 0)
    }

    @Test func `rows beyond the credit end the stream`() throws {
        var table = table()
        _ = try table.open(1, [sum("x.A")])
        for row in 0..<UInt64(RowStreamLimits.creditMax) {
            #expect(table.add(1, sum: 0, firstRow: row, .f32, byteCount: 32).errors.isEmpty)
        }
        let last = table.add(1, sum: 0, firstRow: UInt64(RowStreamLimits.creditMax), .f32, byteCount: 32)
        #expect(last.errors == [.beyondCredit])
    }

    @Test func `rows and commits after a commit end the stream`() throws {
        for isRow in [true, false] {
            var table = table()
            _ = try table.open(1, [sum("x.A")])
            _ = table.commit(1)
            let effects = isRow ? table.add(1, sum: 0, firstRow: 0, .f32, byteCount: 32) : table.commit(1)
            #expect(effects.errors == [.afterCommit])
        }
    }

    @Test func `a failure of a sum ends the stream by its kind`() throws {
        for (kind, remedy) in [(UnitFailure.Kind.badInput, RowStreamError.Remedy.correct), (.world, .again)] {
            var table = table()
            _ = try table.open(1, [sum("x.A")])
            let failure = UnitFailure(kind: kind, message: "row 3 of \"x.A\" holds NaN.")
            let effects = table.note(.failed(RowSumName(stream: 1, sum: 0), failure), from: 0)
            #expect(effects.errors.map(\.remedy) == [remedy])
            #expect("\(try #require(effects.errors.first))".contains("row 3 of \"x.A\" holds NaN."))
        }
    }

    @Test func `words that are late, forged or repeated change nothing`() throws {
        var table = table(workers: 2)
        _ = try table.open(1, [sum("x.A")])
        let worker = try #require(table.add(1, sum: 0, firstRow: 0, .f32, byteCount: 32).orders.first?.worker)
        let name = RowSumName(stream: 1, sum: 0)
        #expect(table.note(.taken(name), from: 1 - worker).isEmpty)
        #expect(table.note(.taken(RowSumName(stream: 1, sum: 5)), from: worker).isEmpty)
        #expect(table.note(.taken(RowSumName(stream: 9, sum: 0)), from: worker).isEmpty)
        #expect(table.note(.bytes(name, offset: 0), byteCount: 10, from: worker).isEmpty)
        #expect(table.note(.taken(name), from: worker).count == 1)
        #expect(table.note(.taken(name), from: worker).isEmpty)
        _ = table.end(1)
        #expect(table.note(.taken(name), from: worker).isEmpty)
        #expect(table.commit(1).isEmpty && table.collect(1).isEmpty && table.end(1).isEmpty)
    }
}
