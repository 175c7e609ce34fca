import Identifiers
import LinearAlgebra
import Safetensors
import SystemPackage

/// Joins the files of a capture into layers and parameters, and collects their contradictions.
struct CaptureAssembly {
    private(set) var layers: [CaptureSet.Layer] = []
    private(set) var parameters: [CaptureSet.Parameter] = []
    private(set) var problems: [JobFileError] = []

    init(files: [CaptureFile]) {
        compareMetadata(of: files)
        let tensors = joined(files)
        for name in Self.layerNames(tensors.keys) {
            let (input, gradient) = (tensors[.input(name)], tensors[.outputGradient(name)])
            if let layer = layer(name, input: input, gradient: gradient) { layers.append(layer) }
        }
        for name in Self.parameterNames(tensors.keys) {
            guard let gradient = tensors[.parameterGradient(name)] else { continue }
            checkParameter(name, gradient)
            let sampleCount = Self.sum(gradient.pieces.map(\.sampleCount))
            parameters.append(.init(name: name, gradient: gradient, sampleCount: sampleCount))
        }
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
        pieces.reserveCapacity(count)
        for (fileIndex, file) in files.enumerated() {
            for (name, info) in file.tensors {
                guard let elementType = ElementType(rawValue: info.dataType.rawValue) else { continue }
                let known = tensors[name]
                if let known, !agrees(file, info, elementType, known) { continue }
                let piece = CapturedTensor.Piece(
                    fileIndex: fileIndex,
                    file: file.file.path,
                    firstRow: pieces[name]?.last.map { $0.firstRow + $0.rowCount } ?? 0,
                    rowCount: info.shape[0],
                    sampleCount: file.metadata.sampleCount,
                    probeCount: file.metadata.probeCount,
                    fileOffset: file.file.header.dataOffset + info.byteRange.lowerBound
                )
                pieces[name, default: []].append(piece)
                guard known == nil else { continue }
                tensors[name] = CapturedTensor(
                    name: info.name, columnCount: info.shape[1], elementType: elementType, pieces: [piece])
            }
        }
        // Most captures have only one file, whose tensors need no joining.
        guard files.count > 1 else { return tensors }
        return Dictionary(
            uniqueKeysWithValues: tensors.map { name, tensor in
                let joined = CapturedTensor(
                    name: tensor.name, columnCount: tensor.columnCount, elementType: tensor.elementType,
                    pieces: pieces[name] ?? [])
                return (name, joined)
            })
    }

    /// Whether a file's part of a tensor fits the earlier parts.
    private mutating func agrees(
        _ file: CaptureFile, _ info: TensorInfo, _ type: ElementType, _ known: CapturedTensor
    ) -> Bool {
        guard let other = known.pieces.first?.file else { return true }
        func report(_ subject: String, _ found: String, _ expected: String) {
            problems.append(
                .differs(
                    file: file.file.path, other: other, subject: "\(subject) of tensor \"\(info.name)\"", found: found,
                    expected: expected))
        }
        let hasColumns = info.shape[1] == known.columnCount
        if !hasColumns { report("the number of columns", "\(info.shape[1])", "\(known.columnCount)") }
        if type != known.elementType { report("the element type", type.rawValue, known.elementType.rawValue) }
        return hasColumns && type == known.elementType
    }

    // MARK: - One layer, one parameter

    /// Pairs the k-th part of the input with the k-th part of the gradient.
    ///
    /// Both are in one file when samples are split, and in two files when tensors are split.
    private mutating func layer(
        _ name: LayerName,
        input: CapturedTensor?,
        gradient: CapturedTensor?
    ) -> CaptureSet.Layer? {
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
        guard let input, let gradient, let first = inputs.first else { return nil }
        for piece in inputs.dropFirst() where piece.rowCount / piece.sampleCount != first.rowCount / first.sampleCount {
            problems.append(
                .differs(
                    file: piece.file,
                    other: first.file,
                    subject: "the number of positions of layer \"\(name)\"",
                    found: String(piece.rowCount / piece.sampleCount),
                    expected: String(first.rowCount / first.sampleCount)
                )
            )
        }
        return CaptureSet.Layer(
            name: name,
            input: input,
            outputGradient: gradient,
            sampleCount: Self.sum(inputs.map(\.sampleCount)),
            positionCount: first.rowCount / first.sampleCount
        )
    }

    private mutating func check(_ name: LayerName, _ rows: CapturedTensor.Piece, _ gradients: CapturedTensor.Piece) {
        if !rows.rowCount.isMultiple(of: rows.sampleCount) {
            problems.append(
                .rowsPerSample(file: rows.file, layer: name, rows: rows.rowCount, samples: rows.sampleCount)
            )
        }
        if rows.sampleCount != gradients.sampleCount {
            problems.append(
                .differs(
                    file: gradients.file,
                    other: rows.file,
                    subject: "the number of samples of layer \"\(name)\"",
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
            case .input(let layer), .outputGradient(let layer): layer
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
