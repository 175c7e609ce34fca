import Identifiers
import KroneckerFactors
import LinearAlgebra
import Messaging
import PrometheusMetrics
import TestSupport
import Testing
import UnitOperations
import WireProtocol
import ZeroMQ

@testable import WorkerService

/// What a worker makes of rows that clients stream.
@Suite(.timeLimit(.minutes(5)))
struct RowSumTests {
    private static let shapes = [false, true].flatMap { isDiagonal in
        [false, true].map { RowSumShape(columns: 5, appendsOne: $0, isDiagonal: isDiagonal) }
    }

    /// Rows that fill two chunks and part of a third.
    private static let rowCount = 4500

    private func rows(_ count: Int = rowCount, columns: Int = 5, seed: UInt64 = 3) -> [Float] {
        var random = SplitMix64(seed: seed)
        // Exact in every type: 8 bits are significant, of which a sign and a half are one each.
        return random.values(count * columns).map { Float(($0 * 64).rounded() / 4) }
    }

    // MARK: - The sum

    @Test(arguments: shapes)
    func `the sum is that of the rows' outer products, and its bits do not depend on the cut into messages`(
        shape: RowSumShape
    ) async throws {
        var random = SplitMix64(seed: 5)
        let rows = random.values(Self.rowCount * 5).map { Float($0) }
        let whole = try await RowSumBench.sum(rows, shape, cut: Self.rowCount)
        expectClose(whole, RowSumBench.exactSum(rows, shape), relative: 1e-6, absolute: 1e-3)
        for cut in [1, 37, 2047, 2048, 2049] {
            #expect(try await RowSumBench.sum(rows, shape, cut: cut) == whole, "messages of \(cut) rows")
        }
        if shape.appendsOne { #expect(whole.last == Double(Self.rowCount)) }
    }

    @Test(arguments: shapes)
    func `rows of narrow types have the bits of equal rows of fp32`(shape: RowSumShape) async throws {
        let rows = rows()
        let wide = try await RowSumBench.sum(rows, shape)
        #expect(wide == RowSumBench.exactSum(rows, shape))
        #expect(try await RowSumBench.sum(rows, shape, as: .bf16, cut: 411) == wide)
        #expect(try await RowSumBench.sum(rows, shape, as: .f16, cut: 77) == wide)
    }

    @Test(arguments: shapes)
    func `a sum that no row reached is zero, also its count of rows`(shape: RowSumShape) async throws {
        let zeros = try await RowSumBench.sum([], shape)
        #expect(zeros == [Double](repeating: 0, count: Int(shape.byteCount) / 8))
    }

    @Test(arguments: shapes)
    func `rows of zeros are a sum of zeros`(shape: RowSumShape) async throws {
        let zeros = [Float](repeating: 0, count: 15)
        #expect(try await RowSumBench.sum(zeros, shape) == RowSumBench.exactSum(zeros, shape))
    }

    @Test(arguments: [1, 3], [TestedBackend.standard, .double])
    func `sums that take turns have the bits that each has alone`(lanes: Int, backend: TestedBackend) async throws {
        let shapes = Self.shapes + [RowSumShape(columns: 19, appendsOne: true, isDiagonal: false)]
        var random = SplitMix64(seed: 8)
        let rows = shapes.map { random.values(Self.rowCount * $0.columns).map { Float($0) } }
        var alone: [[Double]] = []
        for (shape, rows) in zip(shapes, rows) {
            alone.append(try await RowSumBench.sum(rows, shape, backend: backend.backend))
        }
        try await RowSumBench.run(lanes: lanes, backend: backend.backend) { bench in
            let names = shapes.indices.map { RowSumName(stream: UInt64(1 + $0 % 2), sum: $0) }
            for (name, shape) in zip(names, shapes) { bench.order(.begin(name, shape, subject: "fc.A")) }
            let messages = zip(rows, shapes).map { RowSumBench.pieces($0, $1, cut: 321) }
            for number in messages[0].indices {
                for (name, messages) in zip(names, messages) {
                    bench.order(.add(name, .f32), rows: try RowSumBench.bytes(Array(messages[number])))
                }
            }
            for _ in messages.joined() {
                guard case .taken = try await bench.next().word else { throw RowSumBench.NothingCame() }
            }
            for index in names.indices {
                #expect(try await bench.finish(names[index], shapes[index]) == alone[index])
            }
        }
    }

    /// The backends of the tests, which parameters can name.
    enum TestedBackend: CaseIterable {
        case standard, double

        var backend: any FactorBackend {
            switch self {
            case .standard: FactorBackendRegistry.standard
            case .double: DoubleFactorBackend()
            }
        }
    }

    // MARK: - Failures

    /// Sends rows to a sum that must fail, while another of the same lane must not.
    private func failure(
        _ shape: RowSumShape, _ rows: [Float], backend: any FactorBackend = FactorBackendRegistry.standard
    ) async throws -> String {
        let (bad, good) = (RowSumName(stream: 1, sum: 0), RowSumName(stream: 2, sum: 0))
        let goodShape = RowSumShape(columns: 5, appendsOne: true, isDiagonal: true)
        let goodRows = self.rows()
        var failed: RowSumWord?
        let rest = try await RowSumBench.run(backend: backend) { bench in
            bench.order(.begin(bad, shape, subject: "fc.B"))
            bench.order(.begin(good, goodShape, subject: "fc.A"))
            try await bench.add(goodRows[..<5000], to: good)
            for message in RowSumBench.pieces(rows, shape, cut: 500) {
                bench.order(.add(bad, .f32), rows: try RowSumBench.bytes(Array(message)))
            }
            bench.order(.finish(bad))
            repeat { failed = try await bench.next().word } while failed == .taken(bad)
            // What was on its way is ignored.
            bench.order(.add(bad, .f32), rows: [1])
            bench.order(.finish(bad))
            bench.order(.send(bad, offset: 0, byteCount: 8))
            for message in RowSumBench.pieces(Array(goodRows[5000...]), goodShape, cut: 1000) {
                try await bench.add(message, to: good)
            }
            #expect(try await bench.finish(good, goodShape) == RowSumBench.exactSum(goodRows, goodShape))
        }
        #expect(rest.isEmpty)
        return try #require(sentence(of: failed))
    }

    /// The sentence of a failure, with the word of its kind in front.
    private func sentence(of word: RowSumWord?) -> String? {
        guard case .failed(_, let failure) = word else { return nil }
        return "\(failure.kind.word): \(failure.message)"
    }

    @Test(arguments: shapes)
    func `a row that is not finite is named by its number in the sum, and fails this sum alone`(
        shape: RowSumShape
    ) async throws {
        for (row, value) in [(17, Float.nan), (3000, .infinity), (4400, -.infinity)] {
            var rows = rows()
            rows[row * 5 + 3] = value
            #expect(
                try await failure(shape, rows)
                    == "bad_input: the rows of tensor \"fc.B\" hold NaN or infinity, first in row \(row) of those that were "
                    + "sent for it; expected finite values. Send the rows of this sequence again without them.")
        }
    }

    @Test func `squares that overflow or vanish in fp32 are bad input`() async throws {
        let shape = RowSumShape(columns: 5, appendsOne: false, isDiagonal: false)
        var rows = rows()
        rows[2500 * 5 + 2] = 1e20
        #expect(
            try await failure(shape, rows)
                == "bad_input: the rows of tensor \"fc.B\": the squares of column 2 overflow float32, the largest value stands "
                + "in row 2500 of those that were sent for it. Scale the rows down.")
        let faint = [Float](repeating: 0x1p-80, count: 20)
        let sentence = try await failure(shape, faint)
        #expect(sentence.hasPrefix("bad_input: the rows of tensor \"fc.B\": the squares of all 4 rows vanish"))
    }

    @Test func `what the backend lacks is a fault of this machine`() async throws {
        let shape = RowSumShape(columns: 5, appendsOne: false, isDiagonal: false)
        #expect(
            try await failure(shape, rows(), backend: FactorBackendTests.LostBackend())
                == "world: the rows of tensor \"fc.B\" cannot be summed: the device is gone.")
    }

    /// Orders that no coordinator of this version gives, after a sum with two rows of two elements was begun.
    private static let malformed: [(orders: [(RowSumOrder, [UInt8]?)], sentence: String)] = {
        let name = RowSumName(stream: 1, sum: 0)
        let shape = RowSumShape(columns: 2, appendsOne: false, isDiagonal: true)
        return [
            ([(.add(name, .f32), [1, 2, 3])], "3 bytes are no whole rows of 8 bytes"),
            ([(.add(name, .f32), nil)], "the message has no rows"),
            ([(.add(name, .f64), [])], "rows are F64; expected F32, BF16 or F16"),
            ([(.begin(name, shape, subject: "fc.B"), nil)], "the sum was begun before"),
            ([(.send(name, offset: 0, byteCount: 8), nil)], "bytes are wanted of a sum that is not finished"),
            ([(.finish(name), nil), (.finish(name), nil)], "a finished sum is finished again"),
            ([(.finish(name), nil), (.add(name, .f32), [])], "rows came for a finished sum"),
            (
                [(.finish(name), nil), (.send(name, offset: 8, byteCount: 9), nil)],
                "9 bytes are wanted at 8 of a sum of 16"
            ),
            (
                [(.finish(name), nil), (.send(name, offset: .max, byteCount: 1), nil)],
                "1 bytes are wanted at \(UInt64.max) of a sum of 16"
            ),
        ]
    }()

    @Test(arguments: malformed.indices)
    func `orders that contradict what was ordered before are a fault, not bad input`(index: Int) async throws {
        let (orders, sentence) = Self.malformed[index]
        let words = try await RowSumBench.run { bench in
            bench.order(
                .begin(
                    RowSumName(stream: 1, sum: 0), RowSumShape(columns: 2, appendsOne: false, isDiagonal: true),
                    subject: "fc.B"))
            for (order, rows) in orders { bench.order(order, rows: rows) }
        }
        #expect(
            words.map { self.sentence(of: $0) }
                == ["world: the rows of tensor \"fc.B\" cannot be summed: the order is malformed: \(sentence)"])
    }

    // MARK: - The end of sums

    @Test func `orders about sums that are not there any more are ignored`() async throws {
        let name = RowSumName(stream: 1, sum: 0)
        let words = try await RowSumBench.run { bench in
            bench.order(.add(name, .f32), rows: [1])
            bench.order(.begin(name, Self.shapes[0], subject: "fc.A"))
            try await bench.add(rows(10)[...], to: name)
            bench.order(.end(stream: 1))
            bench.order(.add(name, .f32), rows: try RowSumBench.bytes(rows(10)))
            bench.order(.finish(name))
            bench.order(.send(name, offset: 0, byteCount: 8))
            bench.order(.end(stream: 1))
        }
        #expect(words.isEmpty)
    }

    @Test func `when the worker is forgotten its sums are void, and a namesake begins empty`() async throws {
        let name = RowSumName(stream: 1, sum: 0)
        let (old, new) = (Self.shapes[1], Self.shapes[2])
        let words = try await RowSumBench.run { bench in
            bench.order(.begin(name, old, subject: "fc.A"))
            try await bench.add(rows(10)[...], to: name)
            bench.forget()
            bench.order(.add(name, .f32), rows: [1])
            bench.order(.begin(name, new, subject: "fc.B"))
            try await bench.add(rows(seed: 9)[...], to: name)
            #expect(try await bench.finish(name, new) == RowSumBench.exactSum(rows(seed: 9), new))
        }
        #expect(words.isEmpty)
    }

    @Test func `a void sum is told of no more, even if orders for it wait`() throws {
        let name = RowSumName(stream: 1, sum: 0)
        var places = RowSumPlaces(laneCount: 1)
        _ = places.work(for: .order(.begin(name, Self.shapes[0], subject: "fc.A"), rows: nil))
        let waiting = try #require(places.work(for: .order(.add(name, .f32), rows: Frame([1]))).first)
        guard case .order(_, _, let place) = waiting.1 else { throw RowSumBench.NothingCame() }
        #expect(!place.isVoid)
        _ = places.work(for: .forgotten)
        #expect(place.isVoid)
        #expect(places.count == 0)
    }

    // MARK: - Lanes and metrics

    @Test func `sums are spread over lanes by what a row costs, also after a stream has ended`() {
        var places = RowSumPlaces(laneCount: 2)
        let columns = [30, 20, 20, 10, 5]
        func lanes(_ stream: UInt64) -> [Int] {
            columns.enumerated().flatMap { sum, columns in
                places.work(
                    for: .order(
                        .begin(
                            RowSumName(stream: stream, sum: sum),
                            RowSumShape(columns: columns, appendsOne: false, isDiagonal: false), subject: "fc.A"),
                        rows: nil)
                ).map(\.lane)
            }
        }
        // 900 | 400, 800, 900 and then the first of equals.
        #expect(lanes(1) == [0, 1, 1, 1, 0])
        #expect(lanes(2) == [1, 0, 0, 0, 1])
        _ = places.work(for: .order(.end(stream: 1), rows: nil))
        _ = places.work(for: .order(.end(stream: 2), rows: nil))
        #expect(lanes(3) == [0, 1, 1, 1, 0])
    }

    @Test func `rows, their bytes, their kernels and open sums are counted`() async throws {
        try await RowSumBench.run { bench in
            let (first, second) = (RowSumName(stream: 1, sum: 0), RowSumName(stream: 2, sum: 0))
            bench.order(.begin(first, Self.shapes[0], subject: "fc.A"))
            bench.order(.begin(second, Self.shapes[0], subject: "fc.A"))
            try await bench.add(rows()[...], as: .bf16, to: first)
            bench.order(.end(stream: 2))
            try await bench.add(rows(10)[...], to: first)
            let lines = await bench.registry.exposition().split(separator: "\n")
            #expect(lines.contains("kfacd_row_sums 1"))
            #expect(lines.contains("kfacd_rows_total 4510"))
            #expect(lines.contains("kfacd_row_bytes_total \(4500 * 5 * 2 + 10 * 5 * 4)"))
            let seconds = lines.first { $0.hasPrefix("kfacd_row_kernel_seconds_total ") }?.split(separator: " ").last
            #expect(try #require(Double(seconds ?? "")) > 0)
        }
    }

    // MARK: - A worker

    @Test func `a worker states its memory for rows, sums them, and keeps its sums while it drains`() async throws {
        try await WorkerHarness.run(rowMemoryBytes: 3 << 20) { harness in
            #expect(harness.greeting?.rowMemoryBytes == 3 << 20)
            let name = RowSumName(stream: 9, sum: 4)
            let shape = RowSumShape(columns: 2, appendsOne: true, isDiagonal: false)
            func tell(_ order: RowSumOrder, rows: [Float]? = nil) async throws {
                await harness.coordinator.send(
                    .rowSum(order), payload: try rows.map { Frame(try RowSumBench.bytes($0)) })
            }
            func wait(for word: RowSumWord) async throws {
                try await harness.coordinator.next("\(word)") { $0 == .rowSum(word) ? () : nil }
            }
            try await tell(.begin(name, shape, subject: "fc.A"))
            try await tell(.add(name, .f32), rows: [1, 2, 3, 4])
            try await wait(for: .taken(name))
            await harness.coordinator.send(.order(.drain))
            try await harness.coordinator.next("the drain") { message -> Void? in
                if case .draining = message { () } else { nil }
            }
            try await tell(.add(name, .f32), rows: [5, 6])
            try await wait(for: .taken(name))
            try await tell(.finish(name))
            try await tell(.send(name, offset: 0, byteCount: Int(shape.byteCount)))
            try await wait(for: .bytes(name, offset: 0))
            let sum = try #require(harness.coordinator.lastPayload).copyBytes()
            let expected = [35.0, 44, 56, 9, 12, 3].withUnsafeBytes { Array($0) }
            #expect(sum == expected)
            try await harness.dismiss()
        }
    }
}
