import Identifiers
import LinearAlgebra
import Safetensors
import SystemPackage

/// Joins the files of a capture into layers and parameters, and collects their contradictions.
struct CaptureAssembly {
    private(set) var layers: [CaptureSet.Layer] = []
    private(set) var parameters: [CaptureSet.Parameter] = []
    private(set) var emptyBlocks: [CaptureSet.EmptyBlock] = []
    private(set) var sampleCount = 0
    private(set) var problems: [JobFileError] = []
    private let files: [CaptureFile]

    init(files: [CaptureFile]) {
        self.files = files
        compareMetadata(of: files)
        let tensors = joined(files)
        let numbers = rowSamples(files)
        for name in Self.layerNames(Array(tensors.keys) + numbers.keys.map { .rowSamples($0) }) {
            let (input, gradient) = (tensors[.input(name)], tensors[.outputGradient(name)])
            addLayer(name, input: input, gradient: gradient, numbers: numbers[name] ?? [])
        }
        for name in Self.parameterNames(tensors.keys) {
            guard let gradient = tensors[.parameterGradient(name)] else { continue }
            addParameter(name, gradient)
        }
        addStatedBlocks(holding: Set(tensors.keys.map(\.owner)))
        emptyBlocks.sort { $0.name < $1.name }
    }

    // MARK: - Files against each other

    private mutating func compareMetadata(of files: [CaptureFile]) {
        compare(files, "the number of probes") { String($0.probeCount) }
        compare(files, "the task") { $0.task.map { "\"\($0)\"" } }
        compare(files, "the base checkpoint's digest") { $0.baseDigest?.description }
    }

    /// Compares every file with the first that has the value.
    ///
    /// Files without it come from other programs and pass.
    private mutating func compare(_ files: [CaptureFile], _ subject: String, _ value: (CaptureMetadata) -> String?) {
        guard let first = files.first(where: { value($0.metadata) != nil }), let expected = value(first.metadata) else {
            return
        }
        for file in files {
            guard let found = value(file.metadata), found != expected else { continue }
            problems.append(
                .differs(
                    file: file.file.path,
                    other: first.file.path,
                    subject: subject,
                    name: nil,
                    found: found,
                    expected: expected
                )
            )
        }
    }

    private mutating func joined(_ files: [CaptureFile]) -> [CaptureTensorName: CapturedTensor] {
        var tensors: [CaptureTensorName: CapturedTensor] = [:]
        // Stored apart from the tensors so that each list grows in place; a capture may have thousands of files.
        var pieces: [CaptureTensorName: [CapturedTensor.Piece]] = [:]
        // A dictionary that grows hashes its names again; a capture may have tens of thousands.
        let count = files.map(\.tensors.count).max() ?? 0
        tensors.reserveCapacity(count)
        if files.count > 1 { pieces.reserveCapacity(count) }
        for (fileIndex, file) in files.enumerated() {
            for (name, info) in file.tensors {
                guard let (rowType, columns) = Self.rows(of: info) else { continue }
                let known = tensors[name]
                if let known, !agrees(file, info, rowType, columns, known) { continue }
                let piece = CapturedTensor.Piece(
                    fileIndex: fileIndex,
                    file: file.file.path,
                    firstRow: known == nil ? 0 : pieces[name]?.last.map { $0.firstRow + $0.rowCount } ?? 0,
                    rowCount: info.shape[0],
                    sampleCount: file.metadata.sampleCount(of: name.owner),
                    probeCount: file.metadata.probeCount,
                    fileOffset: file.file.header.dataOffset + info.byteRange.lowerBound
                )
                // Most captures have only one file, whose tensors need no joining.
                if files.count > 1 { pieces[name, default: []].append(piece) }
                guard known == nil else { continue }
                tensors[name] = CapturedTensor(
                    name: info.name, columnCount: columns, rowType: rowType, pieces: [piece])
            }
        }
        guard files.count > 1 else { return tensors }
        return Dictionary(
            uniqueKeysWithValues: tensors.map { name, tensor in
                let joined = CapturedTensor(
                    name: tensor.name, columnCount: tensor.columnCount, rowType: tensor.rowType,
                    pieces: pieces[name] ?? [])
                return (name, joined)
            })
    }

    /// What a row of a tensor is; nil for sample numbers, which are no rows.
    private static func rows(of info: TensorInfo) -> (type: RowType, columns: Int)? {
        if let type = ElementType(rawValue: info.dataType.rawValue), info.shape.count == 2 {
            return (.numbers(type), info.shape[1])
        }
        guard case .input? = CaptureTensorName(info.name), let type = IndexType(rawValue: info.dataType.rawValue) else {
            return nil
        }
        return (.indices(type), 1)
    }

    /// Whether a file's part of a tensor fits the earlier parts.
    private mutating func agrees(
        _ file: CaptureFile, _ info: TensorInfo, _ type: RowType, _ columns: Int, _ known: CapturedTensor
    ) -> Bool {
        guard let other = known.pieces.first?.file else { return true }
        func report(_ subject: String, _ found: String, _ expected: String) {
            problems.append(
                .differs(
                    file: file.file.path, other: other, subject: "\(subject) of tensor", name: info.name,
                    found: found, expected: expected))
        }
        guard type == known.rowType else {
            report("the element type", type.name, known.rowType.name)
            return false
        }
        guard columns == known.columnCount else {
            report("the number of columns", "\(columns)", "\(known.columnCount)")
            return false
        }
        return true
    }

    /// The parts of every layer's sample numbers, in the order of the files.
    private func rowSamples(_ files: [CaptureFile]) -> [LayerName: [CaptureSet.RowSamples]] {
        var numbers: [LayerName: [CaptureSet.RowSamples]] = [:]
        for (fileIndex, file) in files.enumerated() {
            for case (.rowSamples(let layer), let info) in file.tensors {
                numbers[layer, default: []].append(
                    CaptureSet.RowSamples(
                        fileIndex: fileIndex, file: file.file.path, dataType: info.dataType, rowCount: info.shape[0],
                        fileOffset: file.file.header.dataOffset + info.byteRange.lowerBound))
            }
        }
        return numbers
    }

    // MARK: - One layer, one parameter

    /// Pairs the k-th part of the input with the k-th part of the gradient.
    ///
    /// Both are in one file when samples are split, and in two files when tensors are split.
    private mutating func addLayer(
        _ name: LayerName,
        input: CapturedTensor?,
        gradient: CapturedTensor?,
        numbers: [CaptureSet.RowSamples]
    ) {
        let inputs = input?.pieces ?? []
        let gradients = gradient?.pieces ?? []
        for index in 0..<max(inputs.count, gradients.count) {
            switch (index < inputs.count ? inputs[index] : nil, index < gradients.count ? gradients[index] : nil) {
            case (let rows?, let gradientRows?): check(name, rows, gradientRows)
            case (let alone?, nil): reportMissing(name, alone.file, has: .input(name), lacks: .outputGradient(name))
            case (nil, let alone?): reportMissing(name, alone.file, has: .outputGradient(name), lacks: .input(name))
            case (nil, nil): break
            }
        }
        checkNumbers(name, numbers, inputs)
        guard let input, let gradient else { return }
        let fileSampleCount = fileSampleCount(of: name.rawValue, inputs)
        guard input.rowCount > 0 else {
            emptyBlocks.append(
                .init(
                    name: name.rawValue, inputColumnCount: input.indexType == nil ? input.columnCount : nil,
                    gradientColumnCount: gradient.columnCount))
            return
        }
        layers.append(
            CaptureSet.Layer(
                name: name, input: input.withoutEmptyPieces, outputGradient: gradient.withoutEmptyPieces,
                sampleCount: Self.sum(inputs.map(\.sampleCount)),
                positionCount: numbers.isEmpty ? Self.positionCount(of: inputs) : nil,
                rowSamples: numbers.filter { $0.rowCount > 0 }, fileSampleCount: fileSampleCount))
    }

    private mutating func addParameter(_ name: ParameterName, _ gradient: CapturedTensor) {
        checkParameter(name, gradient)
        let fileSampleCount = fileSampleCount(of: name.rawValue, gradient.pieces)
        guard gradient.rowCount > 0 else {
            emptyBlocks.append(
                .init(name: name.rawValue, inputColumnCount: nil, gradientColumnCount: gradient.columnCount))
            return
        }
        parameters.append(
            .init(
                name: name, gradient: gradient.withoutEmptyPieces,
                sampleCount: Self.sum(gradient.pieces.map(\.sampleCount)), fileSampleCount: fileSampleCount))
    }

    /// Layers and parameters that stand in the metadata alone: with 0 samples nothing reached them.
    private mutating func addStatedBlocks(holding owners: Set<String>) {
        var known = owners
        for file in files {
            for (owner, samples) in file.metadata.layerSampleCounts.sorted(by: { $0.key < $1.key })
            where known.insert(owner).inserted {
                let most = files.compactMap { $0.metadata.layerSampleCounts[owner] }.max() ?? samples
                guard most == 0 else {
                    problems.append(.samplesWithoutRows(file: file.file.path, owner: owner, samples: most))
                    continue
                }
                sampleCount = max(sampleCount, file.metadata.sampleCount)
                emptyBlocks.append(.init(name: owner, inputColumnCount: nil, gradientColumnCount: nil))
            }
        }
    }

    /// N of the task by the files that hold a layer; nil when one of them states the layer's own number.
    private mutating func fileSampleCount(of owner: String, _ pieces: [CapturedTensor.Piece]) -> Int? {
        let metadata = pieces.map { files[$0.fileIndex].metadata }
        let count = Self.sum(metadata.map(\.sampleCount))
        sampleCount = max(sampleCount, count)
        return metadata.contains { $0.layerSampleCounts[owner] != nil } ? nil : count
    }

    /// R, when every file has it.
    private static func positionCount(of pieces: [CapturedTensor.Piece]) -> Int? {
        var positions: Int?
        for piece in pieces where piece.rowCount > 0 || piece.sampleCount > 0 {
            guard piece.sampleCount > 0, piece.rowCount.isMultiple(of: piece.sampleCount) else { return nil }
            let found = piece.rowCount / piece.sampleCount
            guard found > 0, positions ?? found == found else { return nil }
            positions = found
        }
        return positions
    }

    /// Sample numbers stand beside all rows of a layer or beside none.
    private mutating func checkNumbers(
        _ name: LayerName, _ numbers: [CaptureSet.RowSamples], _ inputs: [CapturedTensor.Piece]
    ) {
        guard let first = numbers.first else { return }
        let tensor = CaptureTensorName.rowSamples(name)
        guard numbers.count == inputs.count else {
            if let other = inputs.first(where: { piece in !numbers.contains { $0.fileIndex == piece.fileIndex } }) {
                problems.append(.missingTensor(file: other.file, tensor: tensor.name))
            } else {
                reportMissing(name, first.file, has: tensor, lacks: .input(name))
            }
            return
        }
        for (part, rows) in zip(numbers, inputs) where part.rowCount != rows.rowCount {
            problems.append(
                .shape(
                    file: part.file, tensor: tensor.name, shape: [part.rowCount],
                    expected: "[\(rows.rowCount)], the sample of each row of \"\(CaptureTensorName.input(name).name)\"")
            )
        }
    }

    private mutating func check(_ name: LayerName, _ rows: CapturedTensor.Piece, _ gradients: CapturedTensor.Piece) {
        if rows.sampleCount == 0, rows.rowCount > 0 {
            problems.append(.rowsWithoutSamples(file: rows.file, owner: name.rawValue, rows: rows.rowCount))
        }
        if rows.sampleCount != gradients.sampleCount {
            problems.append(
                .differs(
                    file: gradients.file,
                    other: rows.file,
                    subject: "the number of samples of layer",
                    name: name.rawValue,
                    found: String(gradients.sampleCount),
                    expected: String(rows.sampleCount)
                )
            )
        }
        let (expected, overflow) = rows.rowCount.multipliedReportingOverflow(by: gradients.probeCount)
        if overflow || expected != gradients.rowCount {
            problems.append(
                .gradientRows(
                    file: gradients.file,
                    layer: name,
                    inputRows: rows.rowCount,
                    gradientRows: gradients.rowCount,
                    probes: gradients.probeCount
                )
            )
        }
    }

    private mutating func reportMissing(
        _ layer: LayerName,
        _ file: FilePath,
        has present: CaptureTensorName,
        lacks missing: CaptureTensorName
    ) {
        problems.append(.partnerMissing(file: file, layer: layer, present: present.name, missing: missing.name))
    }

    private mutating func checkParameter(_ name: ParameterName, _ gradient: CapturedTensor) {
        for piece in gradient.pieces {
            if piece.sampleCount == 0, piece.rowCount > 0 {
                problems.append(.rowsWithoutSamples(file: piece.file, owner: name.rawValue, rows: piece.rowCount))
                continue
            }
            let (expected, overflow) = piece.sampleCount.multipliedReportingOverflow(by: piece.probeCount)
            guard overflow || expected != piece.rowCount else { continue }
            problems.append(
                .parameterRows(
                    file: piece.file,
                    parameter: name,
                    rows: piece.rowCount,
                    samples: piece.sampleCount,
                    probes: piece.probeCount
                )
            )
        }
    }

    // MARK: - Names

    private static func layerNames(_ names: some Sequence<CaptureTensorName>) -> [LayerName] {
        let layers = names.compactMap { name -> LayerName? in
            switch name {
            case .input(let layer), .outputGradient(let layer), .rowSamples(let layer): layer
            case .parameterGradient: nil
            }
        }
        return Set(layers).sorted()
    }

    private static func parameterNames(_ names: some Sequence<CaptureTensorName>) -> [ParameterName] {
        names.compactMap { name in
            guard case .parameterGradient(let parameter) = name else { return nil }
            return parameter
        }.sorted()
    }

    /// Sample counts come from metadata.
    ///
    /// A hostile sum saturates, and the row checks then fail.
    private static func sum(_ counts: [Int]) -> Int {
        counts.reduce(0) { sum, count in
            let (next, overflow) = sum.addingReportingOverflow(count)
            return overflow ? .max : next
        }
    }
}
