import Console
import Identifiers
import JobFiles
import JobPlan
import LinearAlgebra
import Safetensors
import SystemPackage
import WireProtocol

/// Finds the sums of a task's captures, and collects what is missing to make them.
struct CaptureSumFinder {
    private(set) var sums: [CaptureSums.Sum] = []
    private(set) var rowCounts: [String: Int] = [:]
    private(set) var sampleCounts: [String: Int] = [:]
    private(set) var hasBias: [String: Bool] = [:]
    private(set) var layouts: [String: WeightLayout]
    private(set) var diagonals: Set<CurvatureTensorName>
    private(set) var hasEmbedding = false

    private let captures: CaptureSet
    private let isReduced: Bool
    private let bias: BiasStatement
    /// The file that stands for all of them in messages.
    private let place: String
    private var problems: [String] = []

    init(_ captures: CaptureSet, isReduced: Bool, _ bias: BiasStatement) {
        self.captures = captures
        self.isReduced = isReduced
        self.bias = bias
        layouts = captures.layouts.mapValues(\.layout)
        diagonals = captures.diagonals
        place = captures.files.first?.path.string ?? "captures"
    }

    /// Finds all sums.
    ///
    /// - Throws: ``CommandFailure`` with all problems, or what reading the sample numbers throws.
    mutating func find() throws {
        problems += bias.problems(with: captures.layers.map(\.name.rawValue))
        for layer in captures.layers { try add(layer) }
        for parameter in captures.parameters { add(parameter) }
        for empty in captures.emptyBlocks { add(empty) }
        if sums.isEmpty, problems.isEmpty {
            problems.append("\(place): holds no layer and no parameter; expected at least one. Capture the task again.")
        }
        for sum in sums { requireShortRow(sum) }
        guard problems.isEmpty else { throw CommandFailure(.badInput, problems.lazy.cutLines) }
    }

    // MARK: - Captured blocks

    private mutating func add(_ layer: CaptureSet.Layer) throws {
        let name = layer.name.rawValue
        noteLayer(name, rows: layer.input.rowCount, samples: layer.sampleCount)
        requireWidths(of: layer)
        guard !isReduced || layer.positionCount != nil || !layer.rowSamples.isEmpty else {
            problems.append(
                "\(place): layer \"\(name)\" has \(layer.input.rowCount) rows of \(layer.sampleCount) samples; \"reduce\" "
                    + "needs the sample of each row. Capture it with \"\(name).row_samples\", or use the normalization "
                    + "\"tak\" or \"expand\".")
            return
        }
        let lengths = isReduced ? try captures.sampleLengths(of: layer) : nil
        if let type = layer.input.indexType {
            addEmbedding(layer, type, lengths)
        } else {
            add(layer.input, as: .input, of: name, lengths, isMean: true)
        }
        // The rows of a probe come after each other, so the samples come once for each probe.
        let ofGradient = lengths?.map { part in (0..<captures.probeCount).flatMap { _ in part } }
        add(layer.outputGradient, as: .gradient, of: name, ofGradient, isMean: false)
    }

    private mutating func add(
        _ tensor: CapturedTensor, as side: FactorSide, of owner: String, _ lengths: [[Int]]?, isMean: Bool
    ) {
        guard case .numbers(let type) = tensor.rowType else { return }
        let rows: CaptureSums.Rows =
            lengths.map { .reduced(tensor, lengths: $0, isMean: isMean) } ?? .captured(tensor, type)
        add(CurvatureTensorName(owner: owner, side: side), tensor.columnCount, rows)
    }

    /// A of an embedding: a diagonal, one element for each index of the base's table.
    private mutating func addEmbedding(_ layer: CaptureSet.Layer, _ type: IndexType, _ lengths: [[Int]]?) {
        let name = layer.name.rawValue
        hasEmbedding = true
        guard hasBias[name] != true else {
            problems.append("\(place): the embedding \"\(name)\" has a bias, which no stream of rows can bring.")
            return
        }
        noteEmbedding(name)
        guard let inputs = widths(ofEmbedding: name)?.inputs else { return }
        let tensor = CurvatureTensorName(owner: name, side: .input)
        add(tensor, inputs, .embedding(layer.input, type, lengths: lengths))
    }

    private mutating func add(_ parameter: CaptureSet.Parameter) {
        let name = parameter.name.rawValue
        sampleCounts[name] = parameter.sampleCount
        add(parameter.gradient, as: .full, of: name, nil, isMean: false)
    }

    // MARK: - Blocks without rows

    private mutating func add(_ empty: CaptureSet.EmptyBlock) {
        let name = empty.name
        let input = CaptureTensorName.input(LayerName(rawValue: name)).name
        let isEmbedding = empty.inputColumnCount == nil && captures.files.contains { $0.header[input] != nil }
        if !isEmbedding, empty.inputColumnCount == nil, let columns = empty.gradientColumnCount {
            sampleCounts[name] = sampleCount(ofEmpty: name)
            add(CurvatureTensorName(owner: name, side: .full), columns, .none)
            return
        }
        noteLayer(name, rows: 0, samples: sampleCount(ofEmpty: name))
        if isEmbedding { noteEmbedding(name) }
        var widths = (inputs: empty.inputColumnCount, outputs: empty.gradientColumnCount)
        if widths.inputs == nil || widths.outputs == nil {
            let found = isEmbedding ? self.widths(ofEmbedding: name) : self.widths(ofUnreached: name)
            guard let found else { return }
            widths = (widths.inputs ?? found.inputs, widths.outputs ?? found.outputs)
        }
        for (side, columns) in [(FactorSide.input, widths.inputs), (.gradient, widths.outputs)] {
            guard let columns else { continue }
            add(CurvatureTensorName(owner: name, side: side), columns, .none)
        }
    }

    /// N of a layer without rows: the samples of the files that hold it, which count although no row reached it.
    private func sampleCount(ofEmpty name: String) -> Int {
        captures.files.reduce(0) { sum, file in
            let holds = ["input", "grad"].contains { file.header["\(name).\($0)"] != nil }
            guard holds, let metadata = try? CaptureMetadata(parsing: file.header.metadata, file: file.path) else {
                return sum
            }
            return sum + metadata.sampleCount(of: name)
        }
    }

    // MARK: - What the base says

    /// Refuses rows of another width than the base's weight has, before they are sent.
    ///
    /// A job may know the layout by the base's configuration, so either layout is right.
    private mutating func requireWidths(of layer: CaptureSet.Layer) {
        let name = layer.name.rawValue
        guard let base = bias.base, hasBias[name] != nil, layer.input.indexType == nil else { return }
        let (inputs, outputs) = (layer.input.columnCount, layer.outputGradient.columnCount)
        let known = [WeightLayout.outIn, .inOut].compactMap { try? base.widths(of: name, $0) }
        guard let first = known.first, !known.contains(where: { $0 == (inputs, outputs) }) else { return }
        problems.append(
            "\(place): layer \"\(name)\" has rows of \(inputs) inputs and \(outputs) outputs; the base's weight has "
                + "\(first.inputs) and \(first.outputs). Capture the task on this base.")
    }

    private mutating func widths(ofEmbedding name: String) -> (inputs: Int, outputs: Int)? {
        widths(
            of: name, .inOut,
            unless:
                "\(place): the layer \"\(name)\" is an embedding, and its captures do not say how many rows its table "
                + "has. Name the base with --base.")
    }

    private mutating func widths(ofUnreached name: String) -> (inputs: Int, outputs: Int)? {
        widths(
            of: name, layouts[name] ?? .outIn,
            unless:
                "\(place): \"\(name)\" has no rows, and the captures do not say how wide they would be. Name the base "
                + "with --base, or capture the layer with tensors of shape [0, columns].")
    }

    private mutating func widths(
        of name: String, _ layout: WeightLayout, unless problem: String
    ) -> (inputs: Int, outputs: Int)? {
        guard let base = bias.base else {
            problems.append(problem)
            return nil
        }
        do throws(JobRefusal) { return try base.widths(of: name, layout) } catch {
            // A layer that the base lacks was reported with its bias.
            if hasBias[name] != nil { problems.append(error.description) }
            return nil
        }
    }

    // MARK: -

    private mutating func noteLayer(_ name: String, rows: Int, samples: Int) {
        rowCounts[name] = rows
        sampleCounts[name] = samples
        do throws(JobRefusal) { hasBias[name] = try bias.hasBias(name) } catch { problems.append(error.description) }
    }

    private mutating func noteEmbedding(_ name: String) {
        layouts[name] = .inOut
        diagonals.insert(CurvatureTensorName(owner: name, side: .input))
    }

    private mutating func add(_ tensor: CurvatureTensorName, _ columns: Int, _ rows: CaptureSums.Rows) {
        sums.append(CaptureSums.Sum(tensor: tensor, columns: columns, rows: rows))
    }

    private mutating func requireShortRow(_ sum: CaptureSums.Sum) {
        let byteCount = sum.columns.saturatingProduct(sum.elementType.byteCount)
        guard byteCount > WireLimits.chunkBytes else { return }
        problems.append(
            "\(place): a row of \"\(sum.tensor.name)\" has \(byteCount) bytes; a stream takes at most "
                + "\(WireLimits.chunkBytes). Give the job these captures themselves.")
    }
}
