import CoreMetrics
import KroneckerFactors
import LinearAlgebra
import Messaging
import PrometheusMetrics
import Supervision
import TestSupport
import Testing
import UnitOperations
import WireProtocol
import ZeroMQ

@testable import WorkerService

/// A worker's sums of rows without a connection: orders in, words out.
struct RowSumBench {
    /// The sums ended before the word that a test waits for.
    struct NothingCame: Error {}

    private let orders: AsyncStream<WorkerConnection.RowWord>.Continuation
    private let words: AsyncStream<(RowSumWord, Frame?)>
    /// The metrics.
    let registry = MetricRegistry(families: WorkerMetrics.families)

    /// Runs the body, and obeys its orders to the last.
    ///
    /// - Returns: The words that the body did not wait for.
    @discardableResult
    static func run(
        lanes: Int = 1, backend: any FactorBackend = FactorBackendRegistry.standard,
        _ body: (RowSumBench) async throws -> Void
    ) async throws -> [RowSumWord] {
        let (orders, orderSink) = AsyncStream.makeStream(of: WorkerConnection.RowWord.self)
        let (words, wordSink) = AsyncStream.makeStream(of: (RowSumWord, Frame?).self)
        let bench = RowSumBench(orders: orderSink, words: words)
        let sums = RowSums(
            lanes: (0..<lanes).map { LaneProgress(number: $0) }, backend: backend,
            metrics: WorkerMetrics(factory: bench.registry, backend: backend)
        ) { wordSink.yield(($0, $1)) }
        async let running: Void = sums.run(orders)
        let result = await Result { () async throws in try await body(bench) }
        orderSink.finish()
        await running
        wordSink.finish()
        try result.get()
        return await words.reduce(into: []) { $0.append($1.0) }
    }

    /// Orders.
    func order(_ order: RowSumOrder, rows: [UInt8]? = nil) {
        orders.yield(.order(order, rows: rows.map { Frame($0) }))
    }

    /// The coordinator forgets the worker.
    func forget() { orders.yield(.forgotten) }

    /// The next word.
    func next() async throws -> (word: RowSumWord, payload: Frame?) {
        for await word in words { return word }
        throw NothingCame()
    }

    /// Finishes a sum, and gets its elements in ranges; other words are an error.
    func finish(_ name: RowSumName, _ shape: RowSumShape) async throws -> [Double] {
        order(.finish(name))
        // No whole number of elements.
        let rangeBytes = 1001
        let byteCount = Int(shape.byteCount)
        var bytes: [UInt8] = []
        for offset in stride(from: 0, to: byteCount, by: rangeBytes) {
            order(.send(name, offset: UInt64(offset), byteCount: min(rangeBytes, byteCount - offset)))
            let (word, payload) = try await next()
            #expect(word == .bytes(name, offset: UInt64(offset)))
            bytes += try #require(payload).copyBytes()
        }
        return bytes.withUnsafeBytes { bytes in
            (0..<bytes.count / 8).map { bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Double.self) }
        }
    }

    /// Sends rows and waits for the credit.
    func add(_ rows: ArraySlice<Float>, as type: ElementType = .f32, to name: RowSumName) async throws {
        order(.add(name, type), rows: try Self.bytes(Array(rows), as: type))
        let word = try await next().word
        #expect(word == .taken(name))
    }

    /// Elements as bytes of a type.
    static func bytes(_ elements: [Float], as type: ElementType = .f32) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: elements.count * type.byteCount)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        try type.encode(elements.span, into: &raw)
        return bytes
    }

    /// The sum of all rows, which come in messages of so many rows.
    static func sum(
        _ rows: [Float], _ shape: RowSumShape, as type: ElementType = .f32, cut: Int = 500,
        backend: any FactorBackend = FactorBackendRegistry.standard
    ) async throws -> [Double] {
        var sum: [Double] = []
        let rest = try await run(backend: backend) { bench in
            let name = RowSumName(stream: 1, sum: 0)
            bench.order(.begin(name, shape, subject: "fc.A"))
            for message in pieces(rows, shape, cut: cut) { try await bench.add(message, as: type, to: name) }
            sum = try await bench.finish(name, shape)
            bench.order(.end(stream: 1))
        }
        #expect(rest.isEmpty)
        return sum
    }

    /// The messages of rows.
    static func pieces(_ rows: [Float], _ shape: RowSumShape, cut: Int) -> [ArraySlice<Float>] {
        stride(from: 0, to: rows.count, by: cut * shape.columns).map {
            rows[$0..<min(rows.count, $0 + cut * shape.columns)]
        }
    }

    /// `Σ row·rowᵀ` in fp64, as the shape stores it.
    static func exactSum(_ rows: [Float], _ shape: RowSumShape) -> [Double] {
        let dimension = shape.shape.dimension
        var sum = [Double](repeating: 0, count: shape.isDiagonal ? dimension : dimension * (dimension + 1) / 2)
        for first in stride(from: 0, to: rows.count, by: shape.columns) {
            let row = rows[first..<first + shape.columns].map { Double($0) } + (shape.appendsOne ? [1] : [])
            var index = 0
            for i in 0..<dimension {
                for j in shape.isDiagonal ? i...i : 0...i {
                    sum[index] += row[i] * row[j]
                    index += 1
                }
            }
        }
        return sum
    }
}
