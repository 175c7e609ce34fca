public import FileAccess
import JobFiles
public import JobPlan
import Safetensors
public import SystemPackage
import UnitOperations

extension BaseLayers {
    /// Reads the headers of a base, and its `config.json` if it has one.
    ///
    /// - Parameters:
    ///   - path: A file, or a directory in Hugging Face layout.
    ///   - written: The path as the user wrote it.
    ///   - roots: The directories below which files may be read.
    /// - Throws: `JobRefusal` with the problems of the base.
    public init(reading path: FilePath, written: String, within roots: FileRoots) throws(JobRefusal) {
        let advice = CheckpointAdvice(written: written, path: path, roots: roots)
        func refusal(_ sentences: [String]) -> JobRefusal {
            JobRefusal(problems: sentences.map { JobProblem(at: "the base", $0) })
        }
        if let problem = advice.problemOfText { throw refusal([problem]) }
        let set: SafetensorsSet
        do throws(SafetensorsError) {
            set = try SafetensorsSet(opening: path, within: roots)
        } catch {
            throw refusal(advice.sentences(for: error))
        }
        if let problem = advice.problem(of: set) { throw refusal([problem]) }
        let description: ModelDescription?
        do throws(JobFileError) {
            description = try ModelDescription.read(besides: set)
        } catch {
            throw refusal(error.all.map(\.description))
        }
        self.init(
            of: CheckpointInventory(
                set, at: path, numbered: Array(set.files.indices), description: description))
    }
}

extension CheckpointInventory {
    /// The tensors of a checkpoint by its headers.
    ///
    /// - Parameters:
    ///   - set: The checkpoint.
    ///   - path: Where it is.
    ///   - indexes: The number of each of its files, to which slices refer.
    ///   - description: Its `config.json`.
    init(_ set: SafetensorsSet, at path: FilePath, numbered indexes: [Int], description: ModelDescription?) {
        var shards: [Shard] = []
        for ((shard, file), index) in zip(zip(set.layout.shards, set.files), indexes) {
            shards.append(
                Shard(
                    name: shard.fileName, metadata: file.header.metadata,
                    tensors: Self.tensors(of: file, numbered: index)))
        }
        self.init(
            location: path.string, shards: shards, isQuantized: description?.isQuantized ?? false,
            modelType: description?.modelType)
        configuration = description.map { ModelConfiguration(location: $0.location.string, values: $0.values) }
    }

    /// The tensors of one file by its header.
    ///
    /// - Parameters:
    ///   - file: The file.
    ///   - index: Its number, to which slices refer.
    /// - Returns: The tensors, in the order of the file.
    static func tensors(of file: SafetensorsFile, numbered index: Int) -> [TensorInventory] {
        file.header.tensors.map { tensor in
            TensorInventory(
                name: tensor.name, elementType: tensor.dataType.rawValue, shape: tensor.shape,
                slice: FileSlice(
                    file: index, offset: UInt64(file.header.dataOffset + tensor.byteRange.lowerBound),
                    byteCount: UInt64(tensor.byteCount)))
        }
    }
}
