import Identifiers
import LinearAlgebra
import TaskArithmetic
import UnitOperations
import WireProtocol

/// The measurement of a tensor whose merge is elementwise: all models are read together, piece by piece.
extension MergeExecution {
    /// Measures the tensor in as many passes as the method needs.
    ///
    /// - Returns: The numbers.
    /// - Throws: ``UnitError/nonFinite(_:)``, ``UnitError/malformedLease(_:)`` for sizes that contradict each other, or
    ///   what reading and the method throw.
    func measureTensor<Measurement: TensorMeasurement & ~Copyable>(
        by _: Measurement.Type, _ scratch: inout LaneScratch
    ) async throws -> UnitResult {
        let problem = try problem
        let count = problem.shape.rows * problem.shape.columns
        var pieces = try await ModelPieces(
            base: operation.base.first, sources: operation.tasks.flatMap(\.parameters), reader: reader,
            elementCount: count)
        var measurement = try Measurement(problem)
        while measurement.needsPass {
            for first in stride(from: 0, to: count, by: ModelBlock.readElementsMax) {
                try await pieces.read(first..<min(first + ModelBlock.readElementsMax, count))
                let start = ContinuousClock.now
                try pieces.forEachBlock { block throws in try measurement.add(block) }
                scratch.kernels.note(.product, since: start)
                try input.progress.step()
            }
            measurement.endPass()
        }
        let numbers = try measurement.finish()
        try input.progress.step()
        return UnitResult(measurements: [.statistics: try numbers.checkedStatistics(of: input.lease.title)])
    }
}

/// Pieces of the models of one tensor, in the order in which it is stored.
private struct ModelPieces: ~Copyable {
    private let reader: ParameterReader
    private let base: TensorSource?
    private let sources: [TensorSource]
    private let products: [LowRankProduct?]
    private var elements = 0..<0
    /// The pieces that were fetched, by their first element, if there is memory for all of them.
    ///
    /// A file that this process sees is read again, because fresh memory costs more than a read from the page cache.
    private var kept: [Int: (base: [UInt8], models: [[UInt8]])]?
    private var baseBytes: [UInt8] = []
    private var bytes: [[UInt8]]
    private var block: ModelBlock
    private var baseValues: Matrix<Double>

    init(base: TensorSource?, sources: [TensorSource], reader: ParameterReader, elementCount: Int) async throws {
        let all = sources + [base].compactMap { $0 }
        guard all.allSatisfy({ $0.elementCount == elementCount && $0.layout == .outIn }) else {
            throw UnitError.malformedLease("\"\(reader.input.lease.subject)\" has models of other sizes")
        }
        var products: [LowRankProduct?] = []
        for source in sources { products.append(try await reader.product(of: source)) }
        let block = try ModelBlock(models: sources.count)
        let baseValues = try Matrix<Double>(rows: 1, columns: ModelBlock.capacity)
        self.reader = reader
        self.base = base
        self.sources = sources
        self.products = products
        bytes = Array(repeating: [], count: sources.count)
        let stored = all.reduce(UInt64(0)) { $0.saturatingSum($1.byteCount) }
        let isFetched = !all.allSatisfy { reader.input.isVisible($0.slice) }
        kept = isFetched && stored <= UInt64(ModelBlock.keptBytesMax) ? [:] : nil
        self.block = block
        self.baseValues = baseValues
    }

    /// Reads the elements of every model.
    mutating func read(_ elements: Range<Int>) async throws {
        self.elements = elements
        if let piece = kept?[elements.lowerBound] {
            (baseBytes, bytes) = (piece.base, piece.models)
            return
        }
        if kept != nil { (baseBytes, bytes) = ([], Array(repeating: [], count: sources.count)) }
        if let base { try await reader.read(elements, of: base, finite: &baseBytes) }
        for model in sources.indices {
            try await reader.read(elements, of: sources[model], finite: &bytes[model])
        }
        kept?[elements.lowerBound] = (baseBytes, bytes)
    }

    /// Lends the piece block by block: of every model its values, or their differences from the base.
    mutating func forEachBlock(_ body: (borrowing ModelBlock) throws -> Void) throws {
        for first in stride(from: elements.lowerBound, to: elements.upperBound, by: ModelBlock.capacity) {
            let part = first..<min(first + ModelBlock.capacity, elements.upperBound)
            let start = first - elements.lowerBound
            try block.begin(at: first, count: part.count)
            if let base {
                let (size, bytes) = (base.elementType.byteCount, baseBytes)
                try baseValues.withMutablePrefix(part.count) { values throws in
                    try base.elementType.decode(
                        bytes.span.bytes.extracting(start * size..<(start + part.count) * size), into: &values)
                }
            }
            for model in sources.indices { try decode(model, part, start) }
            try body(block)
        }
    }

    private mutating func decode(_ model: Int, _ part: Range<Int>, _ start: Int) throws {
        let (source, product, bytes) = (sources[model], products[model], bytes[model])
        let (size, hasBase) = (source.elementType.byteCount, base != nil)
        try block.withMutableValues(of: model) { (values: inout MutableSpan<Double>) throws in
            try source.elementType.decode(
                bytes.span.bytes.extracting(start * size..<(start + part.count) * size), into: &values)
            if hasBase {
                try baseValues.withSpan { base throws in
                    try VectorOperations.add(base.extracting(first: part.count), times: -1, to: &values)
                }
            }
            // After the base, so that an adapter's vector keeps its digits.
            try product?.add(part, of: source, to: &values)
        }
    }
}
