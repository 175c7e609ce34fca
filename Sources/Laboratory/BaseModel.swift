import FileAccess
import JSONText
public import ReferenceModel
public import Safetensors
public import SystemPackage

/// The pre-trained model θ0 that all task vectors start from.
public struct BaseModel: Sendable {
    /// The file.
    public let file: SafetensorsFile
    /// SHA-256 of the file, as regularizers name it.
    public let digest: [UInt8]
    /// The places of the parameters.
    public let layout: ParameterLayout
    /// The frozen first step.
    public let embedding: PatchEmbedding
    /// θ0, in the layout's order.
    public let parameters: [Float]

    /// Reads a base checkpoint; its metadata give the model's sizes.
    /// - Throws: ``LaboratoryError`` for an unreadable file, sizes that do not fit, or a tensor of another shape.
    public init(opening path: FilePath) throws(LaboratoryError) {
        file = try reading { () throws(SafetensorsError) in try SafetensorsFile(opening: path) }
        digest = try reading { () throws(FileError) in try FileDigest.sha256(ofFileAt: path) }
        let shape = try Self.shape(of: file)
        layout = ParameterLayout(shape: shape)
        embedding = PatchEmbedding(
            shape: shape, weight: try file.floats("patch.weight", shape: [shape.width, shape.patchPixelCount]),
            bias: try file.floats("patch.bias", shape: [shape.width]),
            positions: try file.floats("pos_embed", shape: [shape.positionCount, shape.width]))
        parameters = try Self.parameters(of: file, layout)
        // Checkpoints are written in the base's types. A coarse type would lose the task vector.
        for entry in layout.entries where file.header[entry.name]?.dataType != .float32 {
            throw .otherArchitecture(
                file: path, tensor: entry.name, found: file.header[entry.name]?.dataType.rawValue ?? "missing",
                expected: "F32")
        }
    }

    /// Reads the task vector of a checkpoint that was fine-tuned from this base.
    ///
    /// - Throws: ``LaboratoryError/otherArchitecture(file:tensor:found:expected:)`` for a missing tensor or another
    ///   shape.
    public func taskVector(of path: FilePath) throws(LaboratoryError) -> [Float] {
        let file = try reading { () throws(SafetensorsError) in try SafetensorsFile(opening: path) }
        var values = try Self.parameters(of: file, layout)
        for index in values.indices { values[index] -= parameters[index] }
        return values
    }

    /// Writes θ0 + τ as a checkpoint in the base's layout; frozen tensors are copied.
    ///
    /// - Parameters:
    ///   - taskVector: τ, in the layout's order.
    ///   - path: The file. An existing file is replaced.
    ///   - metadata: Added to the base's.
    /// - Throws: ``LaboratoryError/safetensors(_:)``. Then no new file appears, and an existing one is unchanged.
    public func write(_ taskVector: [Float], to path: FilePath, metadata: [String: String]) throws(LaboratoryError) {
        let entries = Dictionary(uniqueKeysWithValues: layout.entries.map { ($0.name, $0) })
        let tensors = file.header.tensors.map(\.description)
        try reading { () throws(SafetensorsError) in
            let writer = try SafetensorsWriter(
                path: path, tensors: tensors,
                metadata: file.header.metadata.merging(metadata) { _, added in added })
            for tensor in tensors {
                guard let entry = entries[tensor.name], tensor.dataType == .float32 else {
                    let size = try file.tensor(tensor.name).byteCount
                    let bytes = try file.bytes(of: tensor.name, count: size)
                    try writer.write(bytes.span.bytes, to: tensor.name)
                    continue
                }
                let values = entry.range.map { parameters[$0] + taskVector[$0] }
                try writer.write(values.span.bytes, to: tensor.name)
            }
            try writer.finish()
        }
    }

    /// Reads the heads of some tasks: `<task>.head`, `[classes, features]`.
    ///
    /// - Throws: ``LaboratoryError/missingTask(file:task:present:)`` for a task without a head, or
    ///   ``LaboratoryError/otherArchitecture(file:tensor:found:expected:)``.
    public func heads(of tasks: [String], in path: FilePath) throws(LaboratoryError) -> [String: ClassHead] {
        let file = try reading { () throws(SafetensorsError) in try SafetensorsFile(opening: path) }
        var heads: [String: ClassHead] = [:]
        for task in tasks {
            guard let tensor = file.header["\(task).head"], let classes = tensor.shape.first else {
                let present = file.header.tensors.map(\.name).filter { $0.hasSuffix(".head") }
                throw .missingTask(file: path, task: task, present: present)
            }
            let shape = [classes, layout.shape.featureWidth]
            heads[task] = ClassHead(
                weights: try file.floats("\(task).head", shape: shape), classCount: classes,
                featureWidth: layout.shape.featureWidth)
        }
        return heads
    }

    private static func parameters(
        of file: SafetensorsFile, _ layout: ParameterLayout
    ) throws(LaboratoryError) -> [Float] {
        var parameters: [Float] = []
        parameters.reserveCapacity(layout.count)
        for entry in layout.entries { parameters += try file.floats(entry.name, shape: entry.shape) }
        return parameters
    }

    private static func shape(of file: SafetensorsFile) throws(LaboratoryError) -> VisionTransformerShape {
        guard let text = file.header.metadata["cfg"],
            let configuration = try? JSONValue(parsing: Array(text.utf8), file: file.path)
        else { throw .missingConfiguration(file: file.path) }
        func size(_ key: String) throws(LaboratoryError) -> Int {
            guard case .number(let text)? = configuration[key], let value = Int(text) else {
                throw .missingConfiguration(file: file.path)
            }
            return value
        }
        let (width, depth, heads) = (try size("d"), try size("depth"), try size("heads"))
        let (ratio, patch, features) = (try size("mlp"), try size("patch"), try size("out"))
        do throws(ReferenceModelError) {
            return try VisionTransformerShape(
                width: width, depth: depth, headCount: heads, hiddenRatio: ratio, patchSide: patch,
                featureWidth: features)
        } catch { throw .model(file: file.path, error) }
    }
}
