import FileAccess
import Identifiers
import JobFiles
import JobPlan
import KroneckerFactors
import LinearAlgebra
import PushedRuns
import Safetensors
import SystemPackage
import UnitOperations

/// Reads the headers of all files of a job, compares their contents if asked, and collects their problems.
///
/// Nothing is thrown. An unusable file is one problem of several, and the job is refused with all of them.
struct InventoryReader {
    /// The job; given factors may settle its normalization.
    var spec: JobSpec
    let paths: JobPaths
    let roots: FileRoots
    let depth: InspectionDepth
    let progress: AdmissionProgress
    /// The job that is checked, and the runs of its coordinator; `nil` where there is none.
    let job: JobID
    let runs: RunStore?
    /// What factor files state about their normalization.
    var statedNormalizations: [StatedNormalization] = []
    /// What captures with equal rows state about their samples.
    var sharedFindings: [(found: SharedRows.Findings, set: CaptureSet, task: TaskSpec)] = []
    /// The files of runs that the job uses.
    var runMembers: [RunMembers] = []
    private var search: FileSearch
    var problems: [JobProblem] = []
    var inventory = JobInventory()
    private(set) var base: SafetensorsSet?
    private(set) var openFiles: [SafetensorsFile] = []
    /// Whether curvature was made with another base; then other mismatches have this cause.
    private(set) var isBaseWrong = false
    /// Base digests that captures and factor sets name; they are compared once the base's digest is known.
    var namedBaseDigests: [(place: String, digest: BlobDigest)] = []

    init(
        spec: JobSpec, paths: JobPaths, roots: FileRoots, depth: InspectionDepth, progress: AdmissionProgress,
        job: JobID, runs: RunStore?
    ) {
        self.spec = spec
        self.paths = paths
        self.roots = roots
        self.depth = depth
        self.progress = progress
        self.job = job
        self.runs = runs
        search = FileSearch(roots: roots)
    }

    /// Reads everything; ``problems`` is empty afterwards when the job's files can be used.
    ///
    /// When the task is cancelled, the reading ends between two files.
    mutating func read() {
        progress.note("reading the headers of the base")
        let basePath = paths.absolute(spec.baseModel.value)
        // A job without a base uses the first model in its place. The key of that model then names it in messages.
        let isModel = !spec.isBaseGiven
        if let set = openSet(basePath, for: spec.baseModel, what: isModel ? "model" : "base_model") {
            base = set
            inventory.base = checkpoint(set, at: basePath, role: "base")
            noteConfiguration(besides: set)
        }
        for (index, task) in spec.tasks.enumerated() {
            guard !Task.isCancelled else { return }
            progress.note("reading the headers of task \(index + 1) of \(spec.tasks.count)")
            readCheckpoint(of: task)
            readCaptures(of: task)
            readFactors(of: task)
        }
        settleNormalization()
        settleHeads()
        settleShapes()
        if !Task.isCancelled, spec.outputs.contains(.merged) || spec.tasks.contains(where: \.hasCurvature) {
            TiedTensors(files: openFiles).noteCopies(in: &inventory, of: spec)
        }
        guard depth == .contents else { return }
        compareBaseDigests()
        findRepetitions()
    }

    private mutating func findRepetitions() {
        guard !Task.isCancelled else { return }
        progress.note("looking for inputs that repeat each other")
        let tasks = spec.tasks.map(\.name)
        let repeated = RepeatedInputs(inventory: inventory, files: openFiles, tasks: tasks)
        problems += repeated.problems
        inventory.notices += repeated.notices
        let samples = RepeatedSamples(inventory: inventory, comparison: repeated.comparison)
        inventory.notices += tasks.flatMap(samples.notices)
    }

    // MARK: - Checkpoints

    private mutating func readCheckpoint(of task: TaskSpec) {
        guard let model = task.model else { return }
        if let adapter = adapter(named: model.value) { return readAdapter(adapter, of: task, model) }
        let path = paths.absolute(model.value)
        guard let set = openSet(path, for: model, what: "model") else { return }
        var checkpoint = renamed(checkpoint(set, at: path, role: "checkpoint of task \"\(task.name)\""), of: task)
        if let base {
            if Self.isSame(set, base) { inventory.baseTasks.insert(task.name) }
            TiedTensors(files: openFiles).settle(&checkpoint, against: inventory.base)
        }
        inventory.checkpoints[task.name] = checkpoint
    }

    /// Gives the base a head of its own where a model has one.
    private mutating func settleHeads() {
        guard !Task.isCancelled, spec.outputs.contains(.merged) else { return }
        TiedTensors(files: openFiles).separateHeads(in: &inventory, of: spec)
    }

    /// Settles tensors that models have in another shape than the base, as the job says.
    private mutating func settleShapes() {
        guard !Task.isCancelled else { return }
        let files = openFiles
        func directory(of checkpoint: CheckpointInventory) -> FilePath? {
            checkpoint.shards.lazy.flatMap(\.tensors).first.map { files[$0.slice.file].path.removingLastComponent() }
        }
        let vocabulary = SharedVocabulary(spec: spec, roots: roots, directory: directory)
        problems += vocabulary.problems(inventory)
        if depth == .contents { inventory.notices += vocabulary.notices(inventory) }
        let (agreeing, found) = ResizedVocabularies(spec: spec, roots: roots, directory: directory).check(inventory)
        problems += found
        MismatchedTensors(of: spec).settle(&inventory, agreeing: agreeing)
    }

    /// Whether two checkpoints are the same files, whatever their paths; a copy is not the same.
    static func isSame(_ set: SafetensorsSet, _ other: SafetensorsSet) -> Bool {
        set.files.map { JobPaths.resolved($0.path) } == other.files.map { JobPaths.resolved($0.path) }
    }

    /// Opens a checkpoint; its problems are reported under the key that names it.
    mutating func openSet(_ path: FilePath, for written: Located<String>, what: String) -> SafetensorsSet? {
        let advice = CheckpointAdvice(written: written.value, path: path, roots: roots)
        if let problem = advice.problemOfText {
            report([problem], at: written, key: what)
            return nil
        }
        do {
            let set = try SafetensorsSet(opening: path, within: roots)
            guard let problem = advice.problem(of: set) else { return set }
            report([problem], at: written, key: what)
        } catch {
            report(advice.sentences(for: error), at: written, key: what)
        }
        return nil
    }

    mutating func checkpoint(_ set: SafetensorsSet, at path: FilePath, role: String) -> CheckpointInventory {
        let indexes = set.files.map { register($0, role: role) }
        return CheckpointInventory(set, at: path, numbered: indexes, description: description(besides: set))
    }

    // MARK: - Captures

    private mutating func readCaptures(of task: TaskSpec) {
        guard !task.captures.isEmpty else { return }
        var files: [FilePath] = []
        var known: Set<FilePath> = []
        for pattern in task.captures {
            let matches = matches(pattern, key: "captures")
            if let matches, matches.isEmpty {
                problems.append(
                    JobProblem(
                        at: pattern.location,
                        "the pattern \"\(pattern.value)\" of task \"\(task.name)\" matches no file; it was looked up as "
                            + "\(paths.absolute(pattern.value)). Correct it, or capture the task first."))
            }
            files += (matches ?? []).filter { known.insert($0).inserted }
        }
        guard !files.isEmpty else { return }
        do {
            let set = try CaptureSet(opening: files, within: roots)
            inventory.captures[task.name] = renamed(captures(set, of: task), of: task)
        } catch {
            report(error.sentences, at: task.captures[0], key: "captures")
        }
    }

    /// The files of a pattern; `nil`, and a problem, when the pattern would look outside the roots.
    mutating func matches(_ pattern: Located<String>, key: String) -> [FilePath]? {
        do {
            return try search.files(of: paths.absolute(pattern.value))
        } catch .cancelled {
            return nil
        } catch {
            report([error.description], at: pattern, key: key)
            return nil
        }
    }

    private mutating func captures(_ set: CaptureSet, of task: TaskSpec) -> CaptureInventory {
        let indexes = set.files.map { register($0, role: "capture of task \"\(task.name)\"") }
        if let named = set.task, named != task.name {
            problems.append(
                JobProblem(
                    at: set.files[0].path.string,
                    "the capture is of task \"\(named)\", but stands under task \"\(task.name)\" (\(task.location)). "
                        + "Correct the pattern, or the task's name."))
        }
        if let digest = set.baseDigest { namedBaseDigests.append((set.files[0].path.string, digest)) }
        checkSampleCounts(set, task)
        let found = depth == .contents ? sharedRows(in: set, of: task) : SharedRows.Findings()
        sharedFindings.append((found, set, task))
        var layers: [LayerName: CaptureInventory.Layer] = [:]
        for layer in set.layers {
            layers[layer.name] = CaptureInventory.Layer(
                input: rows(layer.input, indexes), outputGradient: rows(layer.outputGradient, indexes),
                samples: layer.sampleCount, positions: layer.positionCount,
                rowSamples: rowSamples(layer, indexes), sharedInput: found.shared[layer.name])
        }
        var parameters: [ParameterName: CaptureInventory.Parameter] = [:]
        for parameter in set.parameters {
            parameters[parameter.name] = CaptureInventory.Parameter(
                gradient: rows(parameter.gradient, indexes), samples: parameter.sampleCount)
        }
        let empty = set.emptyBlocks.map {
            ($0.name, CaptureInventory.EmptyBlock(inputs: $0.inputColumnCount, outputs: $0.gradientColumnCount))
        }
        noteUnevenLayers(set, task)
        var captures = CaptureInventory(
            probes: set.probeCount, samples: set.sampleCount, layers: layers, parameters: parameters,
            emptyBlocks: Dictionary(empty) { first, _ in first })
        captures.layouts = set.layouts.mapValues { Located($0.layout, at: $0.file.string) }
        captures.diagonals = Set(set.diagonals.map { FactorName(owner: $0.owner, side: $0.side) })
        return captures
    }

    private func sharedRows(in set: CaptureSet, of task: TaskSpec) -> SharedRows.Findings {
        SharedRows.find(in: set) { index in
            guard index.isMultiple(of: 1000) else { return }
            progress.note("comparing layer \(index) of \(set.layers.count) of task \"\(task.name)\"")
        }
    }

    /// The sample numbers of a layer's rows, for each slice of its input.
    private func rowSamples(_ layer: CaptureSet.Layer, _ indexes: [Int]) -> [SampleNumbers] {
        zip(layer.rowSamples, layer.input.pieces).map { numbers, rows in
            let isWide = numbers.dataType == .int64
            return SampleNumbers(
                slice: FileSlice(
                    file: indexes[numbers.fileIndex], offset: UInt64(numbers.fileOffset),
                    byteCount: UInt64(numbers.rowCount * (isWide ? 8 : 4))),
                isWide: isWide, samples: rows.sampleCount)
        }
    }

    /// Says that samples seem to have different numbers of rows, which a wrong number of samples looks like.
    private mutating func noteUnevenLayers(_ set: CaptureSet, _ task: TaskSpec) {
        let uneven = set.layers.filter {
            $0.positionCount == nil && $0.rowSamples.isEmpty && $0.fileSampleCount != nil
        }
        guard let first = uneven.first else { return }
        let more = uneven.count > 1 ? ", and \(uneven.count - 1) more layers are like it" : ""
        inventory.notices.append(
            JobNotice(
                at: set.files[0].path.string,
                "layer \"\(first.name)\" of task \"\(task.name)\" has \(first.input.rowCount) rows of "
                    + "\(first.sampleCount) samples\(more): the samples have different numbers of rows. If they do not, "
                    + "correct \"samples\"."))
    }

    /// A task has one sample count, so its layers are captured over the same samples, unless a layer states its own.
    private mutating func checkSampleCounts(_ set: CaptureSet, _ task: TaskSpec) {
        let counts =
            set.layers.compactMap { layer in layer.fileSampleCount.map { (layer.name.rawValue, $0) } }
            + set.parameters.compactMap { parameter in
                parameter.fileSampleCount.map { (parameter.name.rawValue, $0) }
            }
        guard let first = counts.first, let other = counts.first(where: { $0.1 != first.1 }) else { return }
        problems.append(
            JobProblem(
                at: set.files[0].path.string,
                "task \"\(task.name)\" has \(first.1) samples of \"\(first.0)\", but \(other.1) of \"\(other.0)\"; "
                    + "expected the same samples for all layers. Capture the task again, or state the samples of "
                    + "\"\(other.0)\" under \"layer_samples\" in the files' metadata."))
    }

    private func rows(_ tensor: CapturedTensor, _ indexes: [Int]) -> CapturedRows {
        CapturedRows(
            tensor: tensor.name, columns: tensor.columnCount, rowType: tensor.rowType,
            slices: tensor.pieces.map { piece in
                RowSlice(
                    slice: FileSlice(
                        file: indexes[piece.fileIndex], offset: UInt64(piece.fileOffset),
                        byteCount: UInt64(piece.rowCount * tensor.rowByteCount)),
                    rows: piece.rowCount)
            })
    }

    // MARK: - Factor sets

    private mutating func readFactors(of task: TaskSpec) {
        guard let factors = task.factors.first else { return }
        let path: FilePath
        switch factorFiles(of: task) {
        case .finished(let found): path = found
        case .partials(let files, let unreadable): return readPartials(files, besides: unreadable, of: task)
        case nil: return
        }
        do {
            let set = try CurvatureSet(opening: path, as: .factors, within: roots)
            let metadata = try FactorsMetadata(parsing: set.tensors.metadata, file: path)
            var found = factorSet(set, metadata, of: task, at: path)
            found.layouts = try set.layouts().mapValues { Located($0.layout, at: $0.file.string) }
            report(Self.strayNames(in: metadata, beside: found, at: path), at: factors, key: "factors")
            report(JointRowsContradictions(set, metadata)?.problems ?? [], at: factors, key: "factors")
            if depth == .contents, let problem = try PooledRowCounts(set, metadata)?.problem() {
                report([problem], at: factors, key: "factors")
            }
            inventory.factorSets[task.name] = renamed(found, of: task)
        } catch {
            report(error.sentences, at: factors, key: "factors")
        }
    }

    /// Layers that the metadata names and the set neither holds nor states to be without rows.
    private static func strayNames(
        in metadata: FactorsMetadata, beside set: FactorSetInventory, at path: FilePath
    ) -> [String] {
        let layers = Set(set.factors.keys.lazy.filter { $0.side != .full }.map(\.owner)).union(set.rows.keys)
        let named = [
            (MetadataKey.balance, Set(metadata.balances.keys)), (MetadataKey.uses, Set(metadata.uses.keys)),
        ]
        return named.compactMap { key, names in
            let strays = names.subtracting(layers).sorted()
            guard let first = strays.first else { return nil }
            let others = strays.count > 1 ? " and \(strays.count - 1) more" : ""
            return "\(path): metadata \"\(key)\" names \"\(first)\"\(others), of which the files hold no factors; "
                + "expected layers of the set. Make the factors again, or give the files that belong together."
        }
    }

    private mutating func factorSet(
        _ set: CurvatureSet, _ metadata: FactorsMetadata, of task: TaskSpec, at path: FilePath
    ) -> FactorSetInventory {
        statedNormalizations.append(
            StatedNormalization(task: task.name, place: path.string, word: metadata.normalization, isOfSums: false))
        if let digest = metadata.baseDigest { namedBaseDigests.append((path.string, digest)) }
        let indexes = Dictionary(
            uniqueKeysWithValues: set.tensors.files.map {
                ($0.path, register($0, role: "factors of task \"\(task.name)\""))
            })
        var factors: [FactorName: FactorSetInventory.Factor] = [:]
        for entry in set.entries {
            guard let file = indexes[entry.file] else { continue }
            factors[FactorName(owner: entry.name.owner, side: entry.name.side)] = FactorSetInventory.Factor(
                shape: entry.shape, elementType: entry.elementType, isPacked: entry.storage == .packed,
                slice: FileSlice(
                    file: file, offset: UInt64(entry.fileRange.lowerBound), byteCount: UInt64(entry.fileRange.count)),
                compression: entry.compression?.compression)
        }
        var found = inventory(of: metadata, factors)
        found.jointRows = metadata.jointRows.map { stated in
            JointRowTensors(
                set.jointEntries, stated,
                parameters: Set(set.entries.lazy.filter { $0.name.side == .full }.map(\.name.owner)), files: indexes
            ) { OwnerCounts.rowsPerSample(of: $0, metadata.rowCounts, metadata.sampleCounts) }
        }
        return found
    }

    private func inventory(
        of metadata: FactorsMetadata, _ factors: [FactorName: FactorSetInventory.Factor]
    ) -> FactorSetInventory {
        var (samples, rows): ([String: Int], [String: Int]) = ([:], [:])
        for name in factors.keys {
            samples[name.owner] = metadata.sampleCounts[name.owner]
            if name.side != .full { rows[name.owner] = metadata.rowCounts?[name.owner] }
        }
        // A layer that the set states without factors has none because it has no rows.
        if case .each(let counts)? = metadata.rowCounts {
            rows.merge(counts.filter { $0.value == 0 }) { own, _ in own }
        }
        let most = samples.values.max() ?? 0
        var set = FactorSetInventory(
            normalization: spec.curvature.normalization, samples: most, factors: factors,
            ownSamples: samples.filter { $0.value != most }, rows: rows)
        set.uses = metadata.uses
        set.balances = metadata.balances
        return set
    }

    // MARK: - All of them

    /// Compares the base's digest with the named ones.
    ///
    /// It reads the whole base, so it runs only when a file names a base.
    private mutating func compareBaseDigests() {
        guard !namedBaseDigests.isEmpty, !Task.isCancelled, let base else { return }
        progress.note("reading the whole base for its digest")
        guard let found = try? JobInputs(files: [], base: base).baseDigest() else { return }
        let others = namedBaseDigests.filter { $0.digest != found }
        for (digest, files) in Dictionary(grouping: others, by: \.digest).sorted(by: {
            $0.key.description < $1.key.description
        }) {
            isBaseWrong = true
            let count = files.count - 1
            let besides = count == 0 ? "" : ", as \(count == 1 ? "one other does" : "\(count) others do"),"
            problems.append(
                JobProblem(
                    at: files[0].place,
                    "the file belongs\(besides) to a base with the digest \(digest), but \(inventory.base.location) has "
                        + "\(found). Curvature of one base says nothing about another: use the base that it was "
                        + "computed on."))
        }
    }

    /// The content of a task's files under the names that its `rename` gives.
    mutating func renamed<Content: Renamable>(_ content: Content, of task: TaskSpec) -> Content {
        guard !task.renames.isEmpty else { return content }
        return content.renamed(
            by: &inventory.renamings[task.name, default: TaskRenaming(of: task.name, by: task.renames)])
    }

    mutating func register(_ file: SafetensorsFile, role: String) -> Int {
        let digest = BlobDigest(sha256: file.identity.headerDigest)
        inventory.files.append(
            InputFile(
                path: JobPaths.resolved(file.path).string, byteCount: UInt64(file.identity.byteCount),
                modificationTime: file.identity.modificationNanoseconds, headerDigest: digest, role: role))
        openFiles.append(file)
        return openFiles.count - 1
    }

    mutating func report(_ messages: [String], at written: Located<String>, key: String) {
        problems += messages.map { JobProblem(at: "\(written.location) (\(key))", $0) }
    }
}
