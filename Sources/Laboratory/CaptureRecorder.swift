import Identifiers
import JobFiles
import ReferenceModel
import Safetensors
public import SystemPackage

/// Writes the captures from which the daemon computes a task's factors.
///
/// A capture holds the rows of each layer at θ0, and the gradients of Σ_c ε_c f_c, where f is the feature and ε a
/// probe.
///
/// Source: DESIGN sections 2.1 and 3, format `kfacd.capture/1`.
public struct CaptureRecorder: Sendable {
    private let base: BaseModel
    private let team: PassTeam
    private let settings: CaptureSettings

    /// A recorder for some tasks of a study.
    ///
    /// - Parameters:
    ///   - base: The model. Captures are taken at its parameters and name its digest.
    ///   - team: Passes of its layout.
    ///   - settings: Probes and seed.
    public init(base: BaseModel, team: PassTeam, settings: CaptureSettings) {
        self.base = base
        self.team = team
        self.settings = settings
    }

    /// Writes the capture of one task.
    ///
    /// Memory holds one shard's rows for each thread. Everything else is written to its place in the file at once. The
    /// file depends on the arguments and not on the number of threads.
    ///
    /// - Parameters:
    ///   - task: The task's name.
    ///   - tokens: `[all samples, positions, width]`, from ``ReferenceModel/PatchEmbedding/tokens(of:)``.
    ///   - samples: The samples, in the order of the rows; see ``CaptureSettings/samples(of:in:)``.
    ///   - path: The file. An existing file is replaced.
    /// - Throws: ``LaboratoryError/invalidCapture(task:problem:)`` for missing samples or an impossible number of
    ///   probes, ``LaboratoryError/safetensors(_:)``, or ``LaboratoryError/interrupted`` in a cancelled task.
    ///   Then no new file appears, and an existing one is unchanged.
    public func write(
        _ task: String, tokens: [Float], samples: [Int], to path: FilePath
    ) async throws(LaboratoryError) {
        let probeCount = try checkedProbeCount(task, tokens: tokens, samples: samples)
        let metadata = CaptureMetadata(
            sampleCount: samples.count, probeCount: probeCount, task: TaskName(rawValue: task),
            baseDigest: BlobDigest(sha256: base.digest))
        let tensors = tensors(sampleCount: samples.count, probeCount: probeCount)
        let writer = try reading { () throws(SafetensorsError) in
            try SafetensorsWriter(path: path, tensors: tensors, metadata: metadata.strings)
        }
        let (parameters, settings) = (base.parameters, settings)
        try await team.forEachShard(samples.count) { pass, places throws(LaboratoryError) in
            let rows = CaptureShard(writer: writer, places: places, sampleCount: samples.count)
            pass.load(samples[places], from: tokens)
            pass.forward(parameters)
            try rows.writeInputs(of: pass)
            let featureWidth = pass.layout.shape.featureWidth
            var directions = ProbeDirections(settings, task: task, samples: samples[places], featureWidth: featureWidth)
            var direction = [Float](repeating: 0, count: places.count * featureWidth)
            var gradient = [Float](repeating: 0, count: pass.layout.count)
            for probe in 0..<probeCount {
                // Many probes take long, so a cancelled task stops before the shard's last probe.
                guard !Task.isCancelled else { throw .interrupted }
                directions.next(into: &direction)
                pass.cotangent(parameters, of: direction, gradient: &gradient)
                try rows.writeGradients(of: pass, probe: probe)
            }
        }
        try reading { () throws(SafetensorsError) in try writer.finish() }
    }

    private func checkedProbeCount(
        _ task: String, tokens: [Float], samples: [Int]
    ) throws(LaboratoryError) -> Int {
        let available = tokens.count / (base.layout.shape.positionCount * base.layout.shape.width)
        guard !samples.isEmpty else {
            throw .invalidCapture(task: task, problem: "no samples; a capture needs at least one")
        }
        if let missing = samples.first(where: { !(0..<available).contains($0) }) {
            throw .invalidCapture(task: task, problem: "sample \(missing) is not one of its \(available), from 0")
        }
        let probeCount = settings.probeCount(featureWidth: base.layout.shape.featureWidth)
        guard 1...CaptureSettings.probeLimit ~= probeCount else {
            throw .invalidCapture(
                task: task, problem: "\(probeCount) probes; expected 1 to \(CaptureSettings.probeLimit)")
        }
        return probeCount
    }

    /// All tensors of the file: inputs and gradients of the layers, then the gradients of the other parameters.
    private func tensors(sampleCount: Int, probeCount: Int) -> [TensorDescription] {
        // A pass knows which layers have one row for each sample. Its rows are empty before samples are loaded.
        let pass = TransformerPass(base.layout, sampleCapacity: 1)
        let layers = pass.layerRows.flatMap { rows in
            let rowCount = sampleCount * rows.rowsPerSample
            let name = LayerName(rawValue: rows.layer.name)
            return [
                TensorDescription(
                    name: CaptureTensorName.input(name).name, dataType: .float32,
                    shape: [rowCount, rows.layer.inputWidth]),
                TensorDescription(
                    name: CaptureTensorName.outputGradient(name).name, dataType: .float32,
                    shape: [rowCount * probeCount, rows.layer.outputWidth]),
            ]
        }
        let vectors = base.layout.vectors.map { entry in
            TensorDescription(
                name: CaptureTensorName.parameterGradient(ParameterName(rawValue: entry.name)).name,
                dataType: .float32, shape: [sampleCount * probeCount, entry.count])
        }
        return layers + vectors
    }
}

/// The places of one shard's rows in a capture.
private struct CaptureShard {
    let writer: SafetensorsWriter
    /// The positions of the shard's samples in the capture.
    let places: Range<Int>
    let sampleCount: Int

    func writeInputs(of pass: borrowing TransformerPass) throws(LaboratoryError) {
        for rows in pass.layerRows {
            try write(
                rows.inputs, to: .input(LayerName(rawValue: rows.layer.name)),
                firstRow: places.lowerBound * rows.rowsPerSample,
                width: rows.layer.inputWidth)
        }
    }

    /// Writes probe by probe: all rows of one probe, then those of the next.
    func writeGradients(of pass: borrowing TransformerPass, probe: Int) throws(LaboratoryError) {
        let firstSample = probe * sampleCount + places.lowerBound
        for rows in pass.layerRows {
            try write(
                rows.outputGradients, to: .outputGradient(LayerName(rawValue: rows.layer.name)),
                firstRow: firstSample * rows.rowsPerSample, width: rows.layer.outputWidth)
        }
        for rows in pass.vectorRows {
            try write(
                rows.gradients, to: .parameterGradient(ParameterName(rawValue: rows.name)), firstRow: firstSample,
                width: rows.gradients.count / places.count)
        }
    }

    private func write(
        _ rows: ArraySlice<Float>, to name: CaptureTensorName, firstRow: Int, width: Int
    ) throws(LaboratoryError) {
        try reading { () throws(SafetensorsError) in
            try writer.write(rows.span.bytes, to: name.name, at: firstRow * width * MemoryLayout<Float>.size)
        }
    }
}
