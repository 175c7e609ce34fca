import FileAccess
import JSONText
public import Safetensors
public import SystemPackage

/// Writes a merged model in the layout of its base: names, order, sharding, metadata, and the files beside them.
///
/// Source: DESIGN section 3. Only floating-point tensors change their type; the others are copied from the base.
public final class CheckpointWriter: Sendable {
    /// The directory that will hold the model.
    public let directory: FilePath
    /// The files and tensors of the model.
    public let layout: ShardLayout
    private let base: SafetensorsSet
    private let dataType: TensorDataType?
    private let heads: [String: String]
    private let hasTokenizer: Bool
    private let texts: [String: String]
    private let writer: ShardedSafetensorsWriter

    /// The largest `config.json` that is read whole.
    private static let configByteLimit = 16 << 20

    /// Begins a model.
    ///
    /// - Parameters:
    ///   - directory: an existing directory.
    ///   - base: the checkpoint whose layout is kept; a single file becomes `model.safetensors`.
    ///   - dataType: the type of every floating-point tensor, or nil to keep each tensor's type.
    ///   - shardSize: the most parameters of a file, or nil for the base's files.
    ///   - heads: the heads that are not tied, with the embeddings that the base ties them to.
    ///   - hasTokenizer: whether the base's tokenizer is copied.
    ///   - texts: further files of the model, by name.
    ///   - provenance: the origin of the model, a JSON text for the metadata.
    /// - Throws: ``JobFileError``; nothing is left behind.
    public init(
        directory: FilePath,
        base: SafetensorsSet,
        dataType: TensorDataType? = nil,
        shardSize: Int? = nil,
        heads: [String: String] = [:],
        hasTokenizer: Bool = true,
        texts: [String: String] = [:],
        provenance: String
    ) throws(JobFileError) {
        let layout = Self.layout(of: base, dataType: dataType, shardSize: shardSize, heads: heads)
        let metadata = base.metadata.merging([MetadataKey.provenance: provenance]) { _, own in own }
        self.directory = directory
        self.layout = layout
        self.base = base
        self.dataType = dataType
        self.heads = heads
        self.hasTokenizer = hasTokenizer
        self.texts = texts
        self.writer = try wrapping { () throws(SafetensorsError) in
            try ShardedSafetensorsWriter(
                directory: directory, layout: layout, metadata: metadata, isHashed: true)
        }
    }

    /// The files and tensors of a model in a base's layout.
    ///
    /// - Parameters:
    ///   - base: the base.
    ///   - dataType: the type of every floating-point tensor, or nil to keep each tensor's type.
    ///   - shardSize: the most parameters of a file, or nil for the base's files.
    ///   - heads: the heads that are not tied; those that the base omits stand behind their embeddings.
    /// - Returns: The layout; a single file is `model.safetensors`.
    public static func layout(
        of base: SafetensorsSet, dataType: TensorDataType?, shardSize: Int?, heads: [String: String] = [:]
    ) -> ShardLayout {
        let shards = base.layout.shards.map { shard in
            let isOnlyFile = base.layout.indexName == nil
            return ShardLayout.Shard(
                fileName: isOnlyFile ? "model.safetensors" : shard.fileName,
                tensors: shard.tensors.flatMap { tensor in
                    let added = heads.filter { $0.value == tensor.name && base[$0.key] == nil }.keys.sorted()
                    return ([tensor.name] + added).map { name in
                        Self.description(
                            of: TensorDescription(name: name, dataType: tensor.dataType, shape: tensor.shape),
                            in: dataType)
                    }
                }
            )
        }
        if let shardSize { return ShardLayout(tensors: shards.flatMap(\.tensors), shardElementLimit: shardSize) }
        return ShardLayout(shards: shards, indexName: base.layout.indexName)
    }

    /// Writes a part of a tensor.
    ///
    /// - Parameters:
    ///   - bytes: elements in the type that ``layout`` gives the tensor; not kept.
    ///   - name: a tensor of the base.
    ///   - byteOffset: first byte, counted from the tensor's start.
    /// - Throws: ``JobFileError``; bytes outside the tensor are not written.
    public func write(_ bytes: RawSpan, to name: String, at byteOffset: Int = 0) throws(JobFileError) {
        do throws(SafetensorsError) { try writer.write(bytes, to: name, at: byteOffset) } catch {
            throw .safetensors(error)
        }
    }

    /// What the files of tensors held when they were finished.
    public var finished: [SafetensorsWriter.Finished] { writer.finished }

    /// Copies the ``CompanionFiles`` from the base's directory, writes the texts, then publishes the tensors and
    /// the index.
    ///
    /// - Throws: ``JobFileError``, with every incomplete tensor; files copied before the failure stay.
    public func finish() throws(JobFileError) {
        try copyCompanions()
        for (name, text) in texts {
            try wrapping { () throws(FileError) in
                try WholeFile.write(Array(text.utf8), to: directory.pushing(FilePath(name)))
            }
        }
        try wrapping { () throws(SafetensorsError) in try writer.finish() }
    }

    private static func description(of tensor: TensorDescription, in dataType: TensorDataType?) -> TensorDescription {
        // Floats of eight bits or fewer have their own scales, so they are copied like integers.
        guard let dataType, [.float16, .bfloat16, .float32, .float64].contains(tensor.dataType) else { return tensor }
        return TensorDescription(name: tensor.name, dataType: dataType, shape: tensor.shape)
    }

    private func copyCompanions() throws(JobFileError) {
        for name in CompanionFiles(besides: base, hasTokenizer: hasTokenizer).copied {
            let path = FilePath(name)
            let (source, destination) = (base.path.pushing(path), directory.pushing(path))
            if name == "config.json", dataType != nil || !heads.isEmpty {
                try writeConfig(from: source, to: destination)
                continue
            }
            if path.components.count > 1 { try makeDirectory(destination.removingLastComponent()) }
            try wrapping { () throws(FileError) in
                try WholeFile.copy(from: source, to: destination, within: base.roots)
            }
        }
    }

    private func makeDirectory(_ path: FilePath) throws(JobFileError) {
        do throws(FileAccessError) { try Directories.create(path, isDurable: true) } catch {
            throw .file(FileError(error))
        }
    }

    private func writeConfig(from source: FilePath, to destination: FilePath) throws(JobFileError) {
        let bytes = try wrapping { () throws(FileError) in
            try WholeFile.read(source, limit: Self.configByteLimit, within: base.roots)
        }
        var config = try wrapping { () throws(JSONError) in try JSONValue(parsing: bytes, file: source) }
        if let dataType { config = ModelConfig.replacingDataType(in: config, by: dataType) }
        if !heads.isEmpty { config = ModelConfig.untyingEmbeddings(in: config) }
        let text = config.text(indent: 2) + "\n"
        try wrapping { () throws(FileError) in try WholeFile.write(Array(text.utf8), to: destination) }
    }
}
