import FileAccess
public import SystemPackage

/// Writes the files of a ``ShardLayout`` into a directory, and the index last.
///
/// Each file is published whole. A set is complete when its index exists, so the index is written last.
public final class ShardedSafetensorsWriter: Sendable {
    /// The directory that will hold the files.
    public let directory: FilePath
    /// Files and tensors.
    public let layout: ShardLayout
    private let writers: [SafetensorsWriter]
    private let indexOfWriter: [String: Int]

    /// Begins every file of the layout.
    ///
    /// - Parameters:
    ///   - directory: an existing directory.
    ///   - layout: the files and their tensors; all names must differ.
    ///   - metadata: the `__metadata__` strings of every file.
    ///   - isHashed: whether the files are hashed for ``finished``, which happens while they are written.
    /// - Throws: ``SafetensorsError``; nothing is left behind.
    public convenience init(
        directory: FilePath,
        layout: ShardLayout,
        metadata: [String: String] = [:],
        isHashed: Bool = false
    ) throws(SafetensorsError) {
        try self.init(directory: directory, layout: layout) { (path, tensors) throws(SafetensorsError) in
            try SafetensorsWriter(path: path, tensors: tensors, metadata: metadata, isHashed: isHashed)
        }
    }

    /// Begins every file of the layout as a staged file, or goes on with those that are there.
    ///
    /// - Parameters:
    ///   - layout: the files and their tensors; all names must differ.
    ///   - directory: an existing directory.
    ///   - metadata: the `__metadata__` strings of every file, when it is finished.
    ///   - draft: the strings until then, of at least the same length.
    /// - Throws: ``SafetensorsError``.
    public convenience init(
        staging layout: ShardLayout, in directory: FilePath, metadata: [String: String], draft: [String: String]
    ) throws(SafetensorsError) {
        try self.init(directory: directory, layout: layout) { (path, tensors) throws(SafetensorsError) in
            try SafetensorsWriter(staged: path, tensors: tensors, metadata: metadata, draft: draft)
        }
    }

    private init(
        directory: FilePath, layout: ShardLayout,
        begin: (FilePath, [TensorDescription]) throws(SafetensorsError) -> SafetensorsWriter
    ) throws(SafetensorsError) {
        var writers: [SafetensorsWriter] = []
        var indexOfWriter: [String: Int] = [:]
        var fileNames: Set<String> = []
        for (index, shard) in layout.shards.enumerated() {
            guard fileNames.insert(shard.fileName).inserted else {
                throw .set(path: directory, problem: .repeated(shard.fileName))
            }
            for tensor in shard.tensors {
                guard indexOfWriter.updateValue(index, forKey: tensor.name) == nil else {
                    throw .set(path: directory, problem: .repeated(tensor.name))
                }
            }
            let path = directory.appending(shard.fileName)
            writers.append(try begin(path, shard.tensors))
        }
        self.directory = directory
        self.layout = layout
        self.writers = writers
        self.indexOfWriter = indexOfWriter
    }

    /// Writes a part of a tensor into its shard, as ``SafetensorsWriter/write(_:to:at:)``.
    ///
    /// - Throws: ``SafetensorsError``; bytes outside the tensor are not written.
    public func write(_ bytes: RawSpan, to name: String, at byteOffset: Int = 0) throws(SafetensorsError) {
        try writer(of: name).write(bytes, to: name, at: byteOffset)
    }

    /// The file that holds a tensor.
    ///
    /// - Throws: ``SafetensorsError/writing(file:name:problem:)`` for an unknown name.
    public func writer(of name: String) throws(SafetensorsError) -> SafetensorsWriter {
        guard let index = indexOfWriter[name] else { throw .writing(file: directory, name: name, problem: .unknown) }
        return writers[index]
    }

    /// What the files held when they were finished, of those that were hashed.
    public var finished: [SafetensorsWriter.Finished] { writers.compactMap(\.finished) }

    /// Reads the staged files once, as ``SafetensorsWriter/prove()``.
    ///
    /// - Returns: The names of the tensors that differ from what was written.
    /// - Throws: ``SafetensorsError``, with every tensor of the set that lacks bytes.
    public func prove() throws(SafetensorsError) -> [String] {
        if let error = SafetensorsError.bundle(writers.flatMap { $0.incompleteTensors() }) { throw error }
        var differing: [String] = []
        for writer in writers { differing += try writer.prove() }
        return differing
    }

    /// Publishes the files in order, then the index.
    ///
    /// - Throws: ``SafetensorsError``, with every tensor of the set that lacks bytes; nothing is published then. After
    ///   a disk failure, the files before the failing one are published and the index is not; another call continues.
    public func finish() throws(SafetensorsError) {
        if let error = SafetensorsError.bundle(writers.flatMap { $0.incompleteTensors() }) { throw error }
        // The disk writes the later files while the first one is hashed.
        for writer in writers { writer.beginWriting() }
        for writer in writers { try writer.finish() }
        guard let indexName = layout.indexName else { return }
        let text = SafetensorsIndex.text(for: layout)
        do throws(FileError) {
            try WholeFile.write(Array(text.utf8), to: directory.appending(indexName))
        } catch {
            throw .file(error)
        }
    }
}
