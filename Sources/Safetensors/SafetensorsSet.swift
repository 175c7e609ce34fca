public import FileAccess
public import SystemPackage

/// The tensors of one file, or of all shards of a directory in Hugging Face layout.
///
/// The index is the authority, and it is checked both ways. Every tensor that it names must be in the named shard. No
/// shard may hold a tensor that the index omits or places elsewhere. Files that the index does not name are ignored.
public final class SafetensorsSet: Sendable {
    /// The path as it was given: a file or a directory.
    public let path: FilePath
    /// The open files in the order of ``layout``.
    public let files: [SafetensorsFile]
    /// Files and tensors in order, so that a writer can make a set of the same form.
    public let layout: ShardLayout
    /// The directories below which its files, and those beside them, may be read.
    public let roots: FileRoots
    private let fileIndexOfTensor: [String: Int]

    /// Opens every file of a set and checks it as a whole.
    ///
    /// - Parameters:
    ///   - path: A file or a directory.
    ///   - roots: The directories below which files may be read.
    /// - Throws: ``SafetensorsError``: all problems that were found, as ``SafetensorsError/several(_:)`` if more than
    ///   one; no descriptor stays open.
    public convenience init(
        opening path: FilePath, within roots: FileRoots = .unlimited
    ) throws(SafetensorsError) {
        switch try SetLocation(of: path, within: roots) {
        case .file(let filePath, let name):
            let file = try SafetensorsFile(opening: filePath, within: roots)
            self.init(path: path, files: [(name, file)], indexName: nil, roots: roots)
        case .index(let directory, let name):
            let indexPath = directory.appending(name)
            let index = try SafetensorsIndex(reading: indexPath, within: roots)
            let files = try Self.openShards(of: index, at: indexPath, roots)
            self.init(path: path, files: files, indexName: name, roots: roots)
        }
    }

    private init(
        path: FilePath, files: [(name: String, file: SafetensorsFile)], indexName: String?, roots: FileRoots
    ) {
        self.path = path
        self.roots = roots
        self.files = files.map(\.file)
        self.layout = ShardLayout(
            shards: files.map { .init(fileName: $0.name, tensors: $0.file.header.tensors.map(\.description)) },
            indexName: indexName
        )
        var fileIndexOfTensor: [String: Int] = [:]
        for (index, entry) in files.enumerated() {
            for tensor in entry.file.header.tensors { fileIndexOfTensor[tensor.name] = index }
        }
        self.fileIndexOfTensor = fileIndexOfTensor
    }

    /// The file that holds a tensor, and the tensor's place; nil if the set has no tensor of that name.
    public subscript(name: String) -> (file: SafetensorsFile, tensor: TensorInfo)? {
        guard let index = fileIndexOfTensor[name], let tensor = files[index].header[name] else { return nil }
        return (files[index], tensor)
    }

    /// All tensors, in the order of the files and of the data in them.
    public var tensors: [TensorDescription] { layout.tensors }

    /// The metadata of all files; for a key that two files set, the first file counts.
    public var metadata: [String: String] {
        files.reduce(into: [:]) { all, file in all.merge(file.header.metadata) { first, _ in first } }
    }

    /// Fills `destination` with a tensor's bytes from `byteOffset` on, as ``SafetensorsFile/read(_:at:into:)``.
    ///
    /// - Throws: ``SafetensorsError``; `destination` then holds a prefix of the bytes.
    public func read(
        _ name: String,
        at byteOffset: Int = 0,
        into destination: inout MutableRawSpan
    ) throws(SafetensorsError) {
        guard let index = fileIndexOfTensor[name] else { throw .tensor(file: path, name: name, problem: .missing) }
        try files[index].read(name, at: byteOffset, into: &destination)
    }

    // MARK: - Checking the index

    private static func openShards(
        of index: SafetensorsIndex,
        at indexPath: FilePath,
        _ roots: FileRoots
    ) throws(SafetensorsError) -> [(name: String, file: SafetensorsFile)] {
        let shardOfTensor = Dictionary(uniqueKeysWithValues: index.entries.map { ($0.tensor, $0.shard) })
        let tensorsOfShard = Dictionary(grouping: index.entries, by: \.shard)
        guard tensorsOfShard.count <= SafetensorsIndex.shardsMax else {
            let field = "\"weight_map\" (\(tensorsOfShard.count) files)"
            let expected = "at most \(SafetensorsIndex.shardsMax) files"
            throw .set(path: indexPath, problem: .indexField(field, expected: expected))
        }
        var problems: [SafetensorsError] = []
        var missing: [(shard: String, tensorCount: Int)] = []
        var files: [(name: String, file: SafetensorsFile)] = []
        for (shard, entries) in tensorsOfShard.sorted(by: { $0.key < $1.key }) {
            guard !Task.isCancelled else { throw .interrupted(indexPath) }
            do throws(SafetensorsError) {
                let file = try SafetensorsFile(
                    opening: directory(of: indexPath).appending(shard), within: roots)
                files.append((shard, file))
                problems += disagreements(of: file, named: shard, with: shardOfTensor, expected: entries.map(\.tensor))
                    .map { .set(path: indexPath, problem: $0) }
            } catch .file(.callFailed(_, _, .noSuchFileOrDirectory)) {
                missing.append((shard, entries.count))
            } catch {
                problems.append(error)
            }
        }
        if let (first, count) = missing.first {
            let problem: SafetensorsError.SetProblem =
                missing.count == 1
                ? .shardMissing(shard: first, tensorCount: count)
                : .shardsMissing(missing.map(\.shard), of: tensorsOfShard.count)
            problems.append(.set(path: indexPath, problem: problem))
        }
        if let error = SafetensorsError.bundle(problems) { throw error }
        return files
    }

    private static func disagreements(
        of file: SafetensorsFile,
        named shard: String,
        with shardOfTensor: [String: String],
        expected: [String]
    ) -> [SafetensorsError.SetProblem] {
        let missing = expected.filter { file.header[$0] == nil }
        var (unlisted, elsewhere): ([String], [String]) = ([], [])
        for tensor in file.header.tensors {
            switch shardOfTensor[tensor.name] {
            case nil: unlisted.append(tensor.name)
            case shard?: break
            case .some: elsewhere.append(tensor.name)
            }
        }
        return (missing.isEmpty ? [] : [.tensorsMissing(missing, shard: shard)])
            + (unlisted.isEmpty ? [] : [.tensorsUnlisted(unlisted, shard: shard)])
            + (elsewhere.isEmpty
                ? [] : [.tensorsElsewhere(elsewhere, shard: shard, indexed: shardOfTensor[elsewhere[0]] ?? "")])
    }
}

/// The target of a path that a user gave.
private enum SetLocation {
    case file(FilePath, name: String)
    case index(directory: FilePath, name: String)

    init(of path: FilePath, within roots: FileRoots) throws(SafetensorsError) {
        let name = path.lastComponent?.string ?? ""
        let kind: FileRoots.Kind?
        do throws(FileRootsError) { kind = try roots.kind(of: path) } catch { throw .file(FileError(error)) }
        guard kind == .directory else {
            self =
                name.hasSuffix(SafetensorsIndex.nameSuffix)
                ? .index(directory: directory(of: path), name: name) : .file(path, name: name)
            return
        }
        let all: [String]
        do throws(FileError) { all = try WholeFile.names(in: path, within: roots) } catch { throw .file(error) }
        let names = all.filter { !$0.hasPrefix(".") }
        let files = names.filter { $0.hasSuffix(".safetensors") }
        let indexes = names.filter { $0.hasSuffix(SafetensorsIndex.nameSuffix) }
        // Readers differ on a whole model beside an index, so the user must choose.
        let whole = indexes.compactMap { index in
            files.first { $0 + ".index.json" == index }
        }
        switch (indexes.count, files.count) {
        case (1, _) where whole.isEmpty || files.count == 1: self = .index(directory: path, name: indexes[0])
        case (0, 1): self = .file(path.appending(files[0]), name: files[0])
        case (0, 0): throw .set(path: path, problem: .empty)
        case (0, _) where files.contains("model.safetensors"):
            self = .file(path.appending("model.safetensors"), name: "model.safetensors")
        case (0, _): throw .set(path: path, problem: .noIndex(files))
        default: throw .set(path: path, problem: .ambiguous(indexes + whole))
        }
    }
}
