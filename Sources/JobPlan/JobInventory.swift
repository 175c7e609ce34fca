public import Identifiers
public import KroneckerFactors
public import LinearAlgebra
public import UnitOperations

/// The contents of a job's files, read from their headers.
///
/// Planning knows nothing else of the files.
public struct JobInventory: Equatable, Sendable {
    /// Every file that the job reads; slices refer to it by position.
    public var files: [InputFile]
    /// The base checkpoint θ_0.
    public var base: CheckpointInventory
    /// The fine-tuned checkpoints.
    public var checkpoints: [TaskName: CheckpointInventory]
    /// The captures of the tasks that bring rows.
    public var captures: [TaskName: CaptureInventory]
    /// The finished factor sets of the tasks that have them.
    public var factorSets: [TaskName: FactorSetInventory]
    /// The partial sums of the tasks that have them.
    public var partials: [TaskName: PartialsInventory] = [:]
    /// What the key `rename` did to the names of the tasks that have it.
    public var renamings: [TaskName: TaskRenaming] = [:]
    /// The tasks whose checkpoint is the base itself, also when its path is written differently.
    public var baseTasks: Set<TaskName> = []
    /// The notices found while reading the files.
    public var notices: [JobNotice] = []

    /// The kinds of the tensors in all checkpoints.
    public var tensorKinds: TensorKinds { TensorKinds([base] + checkpoints.values) }

    /// Collects the contents of the files.
    public init(
        files: [InputFile] = [], base: CheckpointInventory = CheckpointInventory(location: "", shards: []),
        checkpoints: [TaskName: CheckpointInventory] = [:], captures: [TaskName: CaptureInventory] = [:],
        factorSets: [TaskName: FactorSetInventory] = [:]
    ) {
        self.files = files
        self.base = base
        self.checkpoints = checkpoints
        self.captures = captures
        self.factorSets = factorSets
    }
}

/// A tensor of a checkpoint.
public struct TensorInventory: Hashable, Sendable {
    /// The tensor's full name.
    public var name: String
    /// The element type's word in the file (`F32`, `I64`, …).
    public var elementType: String
    /// The shape, outermost first.
    public var shape: [Int]
    /// Its bytes.
    public var slice: FileSlice
    /// What an adapter adds to the bytes' values; `nil` for a tensor whose values are stored.
    public var update: LowRankUpdate?

    /// Describes a tensor.
    public init(name: String, elementType: String, shape: [Int], slice: FileSlice) {
        self.name = name
        self.elementType = elementType
        self.shape = shape
        self.slice = slice
    }

    /// The type, when kfacd can compute with it; other tensors are copied bit for bit.
    public var floatingType: ElementType? { ElementType(rawValue: elementType) }
    /// Number of elements.
    public var elementCount: Int { shape.reduce(1, *) }
    /// The slice of the file to which a message about the values belongs: an adapter's, if it changes them.
    public var ownSlice: FileSlice { update?.up.slice ?? slice }
}

/// A checkpoint: its tensors, in the order and sharding of its files.
public struct CheckpointInventory: Equatable, Sendable {
    /// One file of a checkpoint.
    public struct Shard: Equatable, Sendable {
        /// The file's name without its directory.
        public var name: String
        /// The file's metadata.
        public var metadata: [String: String]
        /// The tensors in file order.
        public var tensors: [TensorInventory]

        /// Describes a shard.
        public init(name: String, metadata: [String: String], tensors: [TensorInventory]) {
            self.name = name
            self.metadata = metadata
            self.tensors = tensors
        }
    }

    /// The path as resolved, for messages.
    public var location: String
    /// The files.
    public var shards: [Shard]
    /// The tensors by name, including tied ones that the files omit.
    public private(set) var tensors: [String: TensorInventory]
    /// The tensor to which each tied tensor is tied, by name.
    public private(set) var ties: [String: String] = [:]
    /// The embedding of which a stored tensor is a second copy, by the tensor's name: of an output head tied to it.
    public private(set) var copies: [String: String] = [:]
    /// The heads that models have apart from the embedding, with that embedding, by name.
    ///
    /// The merged checkpoint then has them, and says that they are not tied.
    public private(set) var heads: [String: String] = [:]
    /// The tensors that models have in another shape, so that those of this base are kept.
    public private(set) var kept: Set<String> = []
    /// What is left of a base's tensors behind the rows that all models have, by name.
    public private(set) var tails: [String: TensorInventory] = [:]
    /// The content of its `config.json`; `nil` without one.
    public var configuration: ModelConfiguration?
    /// Whether the model states that its weights are quantised.
    public var isQuantized: Bool
    /// The architecture that the model states.
    public var modelType: String?
    /// The adapter that changes another checkpoint's tensors to these; `nil` for a checkpoint that is stored whole.
    public var adapter: AdapterSource?

    /// Records that a tensor is tied to another.
    ///
    /// A tensor that the files omit then becomes the other under its own name.
    public mutating func tie(_ name: String, to other: String) {
        guard let tensor = tensors[other] else { return }
        ties[name] = other
        guard tensors[name] == nil else { return }
        tensors[name] = TensorInventory(
            name: name, elementType: tensor.elementType, shape: tensor.shape, slice: tensor.slice)
    }

    /// Whether a tensor is the head that this checkpoint shares with its word embedding and does not store.
    func isSharedHead(_ name: String, shape: [Int]) -> Bool {
        TensorNames.isHead(name)
            && tensors.values.contains { TensorNames.isWordEmbedding($0) && $0.shape == shape }
    }

    /// Gives tensors of these names other values, and those tied to them.
    mutating func replace(_ changed: [String: TensorInventory]) {
        for (name, tensor) in changed { tensors[name] = tensor }
        for (name, other) in ties where changed[name] == nil {
            guard var tensor = changed[other] else { continue }
            tensor.name = name
            tensors[name] = tensor
        }
        for shard in shards.indices {
            shards[shard].tensors = shards[shard].tensors.map { tensors[$0.name] ?? $0 }
        }
    }

    /// Records that a stored tensor is a second copy of another, so that both are one weight.
    public mutating func note(_ name: String, asCopyOf other: String) { copies[name] = other }

    /// Records that a model has a head of its own where this base's head is its embedding.
    ///
    /// A head that the files omit then stands behind the embedding, with its values.
    public mutating func separate(_ head: String, from embedding: String) {
        guard let tensor = tensors[embedding] else { return }
        heads[head] = embedding
        guard tensors[head] == nil else { return }
        let own = TensorInventory(
            name: head, elementType: tensor.elementType, shape: tensor.shape, slice: tensor.slice)
        tensors[head] = own
        for shard in shards.indices {
            if let place = shards[shard].tensors.firstIndex(where: { $0.name == embedding }) {
                shards[shard].tensors.insert(own, at: place + 1)
            }
        }
    }

    /// Records that a base's tensor is kept, because models have it in another shape.
    public mutating func keep(_ name: String) { kept.insert(name) }

    /// Leaves only the first rows of a tensor; ``tails`` then has the others.
    public mutating func cut(_ name: String, toRows rows: Int) {
        guard let whole = tensors[name], let all = whole.shape.first, rows < all, all > 0 else { return }
        let rowBytes = whole.slice.byteCount / UInt64(all)
        func part(_ range: Range<Int>) -> TensorInventory {
            TensorInventory(
                name: name, elementType: whole.elementType, shape: [range.count] + whole.shape.dropFirst(),
                slice: FileSlice(
                    file: whole.slice.file, offset: whole.slice.offset + UInt64(range.lowerBound) * rowBytes,
                    byteCount: UInt64(range.count) * rowBytes))
        }
        tails[name] = part(rows..<all)
        tensors[name] = part(0..<rows)
        for shard in shards.indices {
            for place in shards[shard].tensors.indices where shards[shard].tensors[place].name == name {
                shards[shard].tensors[place] = part(0..<rows)
            }
        }
    }

    /// The name by which a tensor has its settings: of a second copy the first name, for both are one weight.
    func weightName(of tensor: String) -> String { copies[tensor] ?? tensor }

    /// All names under which a tensor's weight is stored, the first one first.
    func names(ofWeightOf tensor: String) -> [String] {
        let first = weightName(of: tensor)
        return [first] + copies.filter { $0.value == first }.keys.sorted()
    }

    /// Parts of tensors, with the same parts of the tensors' second copies.
    public func withCopies(_ regions: some Sequence<ParameterRegion>) -> [ParameterRegion] {
        regions.flatMap { region in
            [region]
                + copies.filter { $0.value == region.tensor }.keys.sorted().map { copy in
                    ParameterRegion(tensor: copy, elements: region.elements, layout: region.layout)
                }
        }
    }

    /// Collects the shards of a checkpoint.
    public init(location: String, shards: [Shard], isQuantized: Bool = false, modelType: String? = nil) {
        self.location = location
        self.shards = shards
        self.isQuantized = isQuantized
        self.modelType = modelType
        tensors = Dictionary(
            shards.flatMap(\.tensors).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }
}

/// A captured tensor: `[rows, columns]`, or indices `[rows]`, concatenated over the task's files.
public struct CapturedRows: Hashable, Sendable {
    /// The tensor's name in the files.
    public var tensor: String
    /// d_in, d_out or d; 1 for indices.
    public var columns: Int
    /// The type of numbers or indices.
    public var rowType: RowType
    /// The slices that hold the rows, in file order.
    public var slices: [RowSlice]

    /// Describes captured rows.
    public init(tensor: String, columns: Int, rowType: RowType, slices: [RowSlice]) {
        self.tensor = tensor
        self.columns = columns
        self.rowType = rowType
        self.slices = slices
    }

    /// Describes captured rows of numbers.
    public init(tensor: String, columns: Int, elementType: ElementType, slices: [RowSlice]) {
        self.init(tensor: tensor, columns: columns, rowType: .numbers(elementType), slices: slices)
    }

    /// The type of the indices; `nil` for rows of numbers.
    public var indexType: IndexType? {
        guard case .indices(let type) = rowType else { return nil }
        return type
    }

    /// Number of rows.
    public var rows: Int { slices.reduce(0) { $0 + $1.rows } }
}

/// The captures of one task.
public struct CaptureInventory: Equatable, Sendable {
    /// A captured linear layer.
    public struct Layer: Equatable, Sendable {
        /// `[rows, d_in]`, without the ones of the bias; indices `[rows]` of an embedding.
        public var input: CapturedRows
        /// `[rows·M, d_out]`, probe-major.
        public var outputGradient: CapturedRows
        /// N of the layer.
        public var samples: Int
        /// R; `nil` when samples may have different numbers of rows.
        public var positions: Int?
        /// The sample of each input row, for each slice of the input; empty unless the captures state it.
        public var rowSamples: [SampleNumbers]
        /// An earlier layer of the same captures whose input rows are the same bytes (q, k, v; gate, up).
        public var sharedInput: LayerName?

        /// Describes a captured layer.
        public init(
            input: CapturedRows, outputGradient: CapturedRows, samples: Int, positions: Int?,
            rowSamples: [SampleNumbers] = [], sharedInput: LayerName? = nil
        ) {
            self.input = input
            self.outputGradient = outputGradient
            self.samples = samples
            self.positions = positions
            self.rowSamples = rowSamples
            self.sharedInput = sharedInput
        }
    }

    /// A captured parameter outside linear layers.
    public struct Parameter: Equatable, Sendable {
        /// `[N·M, d]`.
        public var gradient: CapturedRows
        /// N of the parameter.
        public var samples: Int

        /// Describes a captured parameter.
        public init(gradient: CapturedRows, samples: Int) {
            self.gradient = gradient
            self.samples = samples
        }
    }

    /// A layer or parameter without a single row.
    public struct EmptyBlock: Equatable, Sendable {
        /// d_in, if the captures hold the layer's empty input.
        public var inputs: Int?
        /// d_out or d, if the captures hold the empty gradients.
        public var outputs: Int?

        /// Describes an empty block.
        public init(inputs: Int? = nil, outputs: Int? = nil) {
            self.inputs = inputs
            self.outputs = outputs
        }
    }

    /// M.
    public var probes: Int
    /// N of the task; a layer may have been captured from fewer of its samples.
    public var samples: Int
    /// The captured layers.
    public var layers: [LayerName: Layer]
    /// The captured parameters.
    public var parameters: [ParameterName: Parameter]
    /// The layers and parameters without rows, by name; nothing of the task reached them.
    public var emptyBlocks: [String: EmptyBlock]
    /// The layouts that the files declare, by layer, each with its file.
    public var layouts: [String: Located<WeightLayout>] = [:]
    /// The factors of which the files ask for the diagonal only.
    public var diagonals: Set<FactorName> = []

    /// Collects the contents of a task's captures; the task has the most samples of a layer unless given.
    public init(
        probes: Int, samples: Int? = nil, layers: [LayerName: Layer], parameters: [ParameterName: Parameter],
        emptyBlocks: [String: EmptyBlock] = [:]
    ) {
        self.probes = probes
        self.samples =
            samples ?? layers.values.map(\.samples).max() ?? parameters.values.map(\.samples).max() ?? 0
        self.emptyBlocks = emptyBlocks
        self.layers = layers
        self.parameters = parameters
    }
}

/// A finished factor set of one task.
public struct FactorSetInventory: Equatable, Sendable {
    /// A stored factor.
    public struct Factor: Equatable, Sendable {
        /// The matrix's rows and columns, and whether only its diagonal is stored.
        public var shape: SymmetricShape
        /// `F32` or `F64`.
        public var elementType: ElementType
        /// Whether the tensor is a packed lower triangle rather than a square; of no meaning for a diagonal.
        public var isPacked: Bool
        /// Its bytes.
        public var slice: FileSlice
        /// How it is compressed; `nil` if its elements are stored as they are.
        public var compression: Compression?

        /// Describes a stored factor.
        public init(
            shape: SymmetricShape, elementType: ElementType, isPacked: Bool, slice: FileSlice,
            compression: Compression? = nil
        ) {
            self.shape = shape
            self.elementType = elementType
            self.isPacked = isPacked
            self.slice = slice
            self.compression = compression
        }
    }

    /// The convention of the factors, from the file's metadata.
    public var normalization: FactorNormalization
    /// N_t.
    public var samples: Int
    /// The factors by name.
    public var factors: [FactorName: Factor]
    /// N by layer or parameter, where it is not ``samples``.
    public var ownSamples: [String: Int]
    /// The input rows behind a layer's factors, if the set states them; 0 for a layer without factors.
    public var rows: [String: Int]
    /// The layouts that the files declare, by layer, each with its file.
    public var layouts: [String: Located<WeightLayout>] = [:]
    /// The captured layers that use a layer's weight, where its factors are the sum over several.
    public var uses: [String: [String]] = [:]
    /// The scalar that gives B of a layer the exact trace, by layer; empty if the set states none.
    public var balances: [String: Double] = [:]
    /// The joint rows of the set; `nil` if it has none.
    public var jointRows: JointRowTensors?

    /// Collects the contents of a factor set.
    public init(
        normalization: FactorNormalization, samples: Int, factors: [FactorName: Factor],
        ownSamples: [String: Int] = [:], rows: [String: Int] = [:]
    ) {
        self.normalization = normalization
        self.samples = samples
        self.factors = factors
        self.ownSamples = ownSamples
        self.rows = rows
    }
}
