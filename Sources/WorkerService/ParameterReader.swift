import Identifiers
import LinearAlgebra
import TaskArithmetic
import UnitOperations
import WireProtocol

/// Parameters as one matrix in fp64: `[W, b]` of a layer, `[1, d]` of another parameter, or a whole tensor.
struct ParameterReader {
    /// Bytes read at a time.
    private static let pieceBytes = 4 << 20

    let parameters: MergedParameters
    let input: InputReader

    /// Reads the parameters that the unit is about.
    init(_ parameters: MergedParameters, input: InputReader) {
        self.parameters = parameters
        self.input = input
    }

    /// The parameters in words, for messages.
    var descriptions: [String] { parameters.descriptions(of: input.lease.subject) }

    /// Rows and columns of the matrix.
    var shape: (rows: Int, columns: Int) { (parameters.shape.rows, parameters.shape.columns) }

    /// Reads θ from one checkpoint.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` for NaN or infinity in a parameter, ``UnitError/malformedLease(_:)`` when
    ///   the sizes in the lease contradict the block's, or what reading throws.
    func read(_ sources: ParameterSources) async throws -> Matrix<Double> {
        var matrix = try await readStored(sources)
        try await addUpdates(of: sources, to: &matrix)
        return matrix
    }

    /// Reads θ_t − θ_0.
    ///
    /// The update of an adapter is added to the difference of what is stored, which is 0 for an adapter of the base. So
    /// it keeps its rank, and its digits where it is small beside the weights.
    ///
    /// - Throws: What ``read(_:)`` throws.
    func taskVector(_ sources: ParameterSources, base: borrowing Matrix<Double>) async throws -> Matrix<Double> {
        var delta = try await readStored(sources)
        try base.withSpan { base throws in
            try delta.withMutableSpan { delta throws in try VectorOperations.add(base, times: -1, to: &delta) }
        }
        try await addUpdates(of: sources, to: &delta)
        return delta
    }

    /// The rows and columns that a parameter has in the matrix.
    private func place(of parameter: Int) -> (rows: Int, columns: Range<Int>) {
        guard case .block(.linear(let outputs, let inputs, _, _)) = parameters else {
            return (shape.rows, 0..<shape.columns)
        }
        return (outputs, parameter == 0 ? 0..<inputs : inputs..<inputs + 1)
    }

    /// Reads what is stored, without the updates of adapters.
    private func readStored(_ sources: ParameterSources) async throws -> Matrix<Double> {
        guard sources.count == parameters.count else {
            throw UnitError.malformedLease("\"\(input.lease.subject)\" has \(sources.count) parameters")
        }
        var matrix = try Matrix<Double>(rows: shape.rows, columns: shape.columns)
        for parameter in sources.indices {
            let (rows, columns) = place(of: parameter)
            try await read(
                parameter, of: sources, rows: rows, columns: columns.count, into: &matrix, at: columns.lowerBound)
        }
        return matrix
    }

    /// Adds the updates of adapters, some stored rows at a time.
    private func addUpdates(of sources: ParameterSources, to matrix: inout Matrix<Double>) async throws {
        for (parameter, source) in sources.enumerated() {
            guard let product = try await product(of: source) else { continue }
            let (rows, columns) = place(of: parameter)
            let isTransposed = source.layout == .inOut
            let (storedRows, storedColumns) = isTransposed ? (columns.count, rows) : (rows, columns.count)
            let width = matrix.columnCount
            let rowsAtOnce = max(1, Self.pieceBytes / (storedColumns * 8))
            var values = [Double](repeating: 0, count: min(rowsAtOnce, storedRows) * storedColumns)
            for first in stride(from: 0, to: storedRows, by: rowsAtOnce) {
                let count = min(rowsAtOnce, storedRows - first)
                var span = values.mutableSpan
                var stored = span._mutatingExtracting(first: count * storedColumns)
                matrix.withSpan { matrix in
                    if isTransposed {
                        let part = columns.lowerBound + first..<columns.lowerBound + first + count
                        StoredOrder.gather(matrix, columns: part, width: width, into: &stored)
                    } else {
                        StoredOrder.take(matrix, columns: columns, firstRow: first, width: width, into: &stored)
                    }
                }
                try product.add(first * storedColumns..<(first + count) * storedColumns, of: source, to: &stored)
                matrix.withMutableSpan { matrix in
                    if isTransposed {
                        let part = columns.lowerBound + first..<columns.lowerBound + first + count
                        StoredOrder.scatter(stored.span, into: &matrix, columns: part, width: width)
                    } else {
                        StoredOrder.copy(stored.span, into: &matrix, columns: columns, firstRow: first, width: width)
                    }
                }
            }
        }
    }

    /// Reads a parameter of `[rows, columns]` into the matrix, starting at `column`, some stored rows at a time.
    private func read(
        _ parameter: Int, of sources: ParameterSources, rows: Int, columns: Int, into matrix: inout Matrix<Double>,
        at column: Int
    ) async throws {
        let source = sources[parameter]
        let isTransposed = source.layout == .inOut
        let (storedRows, storedColumns) = isTransposed ? (columns, rows) : (rows, columns)
        let rowBytes = storedColumns * source.elementType.byteCount
        guard source.byteCount == UInt64(storedRows) * UInt64(rowBytes) else {
            throw UnitError.malformedLease("a parameter of \"\(input.lease.subject)\" has \(source.byteCount) bytes")
        }
        var raw: [UInt8] = []
        let width = matrix.columnCount
        var values: [Double] = []
        let rowsAtOnce = max(1, Self.pieceBytes / rowBytes)
        for first in stride(from: 0, to: storedRows, by: rowsAtOnce) {
            let count = min(rowsAtOnce, storedRows - first)
            try await read(
                first * storedColumns..<(first + count) * storedColumns, of: source, parameter: parameter, finite: &raw)
            if isTransposed {
                values = [Double](repeating: 0, count: count * storedColumns)
                var target = values.mutableSpan
                try source.elementType.decode(raw.span.bytes.extracting(0..<count * rowBytes), into: &target)
                matrix.withMutableSpan { span in
                    StoredOrder.scatter(
                        values.span, into: &span, columns: column + first..<column + first + count, width: width)
                }
                continue
            }
            try matrix.withMutableSpan { span throws in
                for row in 0..<count {
                    let start = (first + row) * width + column
                    var target = span._mutatingExtracting(start..<start + columns)
                    try source.elementType.decode(
                        raw.span.bytes.extracting(row * rowBytes..<(row + 1) * rowBytes), into: &target)
                }
            }
        }
    }

    /// Reads some of a tensor's elements in the order in which they are stored, without the update of an adapter.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` for NaN or infinity, or what reading throws.
    func read(
        _ elements: Range<Int>, of source: TensorSource, parameter: Int = 0, finite raw: inout [UInt8]
    ) async throws {
        try await read(elements, of: source, into: &raw)
        if let position = source.elementType.firstNonFinite(in: raw.span.bytes) {
            throw nonFinite(parameter, source, element: elements.lowerBound + position)
        }
    }

    /// The update that an adapter adds to a parameter; `nil` for none.
    func product(of source: TensorSource) async throws -> LowRankProduct? {
        guard let update = source.update else { return nil }
        guard update.hasWholeFactors else {
            throw UnitError.malformedLease("an update of \"\(input.lease.subject)\" has factors of other sizes")
        }
        var (up, down): ([UInt8], [UInt8]) = ([], [])
        try await input.read(update.up.slice, into: &up)
        if let factor = update.down { try await input.read(factor.slice, into: &down) }
        let isFinite =
            update.up.elementType.firstNonFinite(in: up.span.bytes) == nil
            && update.down?.elementType.firstNonFinite(in: down.span.bytes) == nil
        guard isFinite else {
            throw UnitError.nonFinite(
                "\(input.path(of: update.up.slice.file)): a factor of the update of \"\(input.lease.subject)\" holds NaN "
                    + "or infinity; expected finite factors. Save the adapter again, or give the model the weight 0.")
        }
        return try update.product(up: up, down: down)
    }

    /// Reads some of a parameter's elements, in the order in which they are stored.
    ///
    /// Runs are read together with the gaps between them, because a request for each run would take longer.
    private func read(_ elements: Range<Int>, of source: TensorSource, into raw: inout [UInt8]) async throws {
        let size = source.elementType.byteCount
        func slice(_ places: Range<Int>) -> FileSlice {
            FileSlice(
                file: source.slice.file, offset: source.slice.offset + UInt64(places.lowerBound * size),
                byteCount: UInt64(places.count * size))
        }
        guard let runs = source.runs else { return try await input.read(slice(elements), into: &raw) }
        raw.removeAll(keepingCapacity: true)
        raw.reserveCapacity(elements.count * size)
        var rest = runs.positions(of: elements)[...]
        var piece: [UInt8] = []
        while let first = rest.first {
            let places = rest.prefix {
                ($0.upperBound - first.lowerBound) * size <= max(Self.pieceBytes, first.count * size)
            }
            guard let last = places.last else { return }
            try await input.read(slice(first.lowerBound..<last.upperBound), into: &piece)
            for place in places {
                let start = (place.lowerBound - first.lowerBound) * size
                raw += piece[start..<start + place.count * size]
            }
            rest = rest.dropFirst(places.count)
        }
    }

    /// The error for NaN or infinity; one such value would spread over the whole matrix, so no option allows it.
    private func nonFinite(_ parameter: Int, _ source: TensorSource, element: Int) -> UnitError {
        let place = "\(input.path(of: source.ownSlice.file)): \(descriptions[parameter])"
        let (use, remedy) =
            switch parameters {
            case .block: ("factors are used", "leave \"\(input.lease.subject)\" out with \"layers\"")
            case .tensor: ("a tensor is measured or merged as a whole", "copy the base's with \"ignore\"")
            }
        return .nonFinite(
            "\(place) holds NaN or infinity, first in element \(element); expected finite values where \(use). "
                + "Save the model again, or \(remedy); a fine-tuned model may be given the "
                + "weight 0 instead.")
    }
}

extension LowRankProduct {
    /// Adds the elements of a parameter, which may lie in runs of the tensor that the update is of.
    ///
    /// - Parameters:
    ///   - elements: The elements, counted among the parameter's.
    ///   - source: The parameter.
    ///   - values: Their values.
    /// - Throws: `LinearAlgebraError` for elements that the update does not have.
    func add(
        _ elements: Range<Int>, of source: TensorSource, to values: inout MutableSpan<Double>
    ) throws {
        let start = source.update?.firstElement ?? 0
        var next = 0
        for places in source.runs.map({ Array($0.positions(of: elements)) }) ?? [elements] {
            var part = values._mutatingExtracting(next..<next + places.count)
            try add(start + places.lowerBound..<start + places.upperBound, to: &part)
            next += places.count
        }
    }
}
