import Identifiers
import TaskArithmetic
import UnitOperations

/// How many singular triplets of a merged vector an adapter keeps.
public enum AdapterRank: Equatable, Sendable {
    /// As many as the factors of all models have together: they are concatenated.
    case exact
    /// At most so many of each matrix.
    case atMost(Int)
}

/// The adapter that a job writes in place of a merged model: the matrices that its models may change.
///
/// Source: DESIGN section 2.5.
public struct AdapterExport: Sendable {
    /// A module whose weight the adapter may change.
    public struct Module: Equatable, Sendable {
        /// The base's weight, a matrix.
        public let tensor: TensorInventory
        /// Whether PEFT counts it as an embedding, `[vocabulary, dimension]`.
        public let isEmbedding: Bool
        /// Whether the weight is stored as the transpose of B · A: as `[in, out]`, or as an embedding.
        public let isTransposed: Bool

        /// The module's path in the model.
        public var name: String { String(tensor.name.dropLast(AdapterExport.suffix.count)) }
        /// Columns of A.
        public var inputs: Int { tensor.shape[isTransposed ? 0 : 1] }
        /// Rows of B.
        public var outputs: Int { tensor.shape[isTransposed ? 1 : 0] }
    }

    /// The end of a weight's name.
    static let suffix = ".weight"

    /// The modules, in the order of the base's files.
    public let modules: [Module]
    /// The other tensors that are merged: an adapter cannot change them.
    public let others: [TensorInventory]
    private let spec: JobSpec
    private let inventory: JobInventory
    private let settings: MergeSettings

    /// Finds the modules of a job.
    public init(spec: JobSpec, inventory: JobInventory) {
        self.spec = spec
        self.inventory = inventory
        let settings = MergeSettings(spec: spec, base: inventory.base)
        self.settings = settings
        let copied = CopiedTensors(spec: spec, base: inventory.base)
        let layouts = WeightLayouts(spec: spec, inventory: inventory)
        var modules: [Module] = []
        var others: [TensorInventory] = []
        for tensor in inventory.base.shards.flatMap(\.tensors) where copied.reason(of: tensor.name) == nil {
            let models = Self.models(of: tensor, spec, inventory, settings)
            let isChanged = models.contains { $0.own.slice != tensor.slice || $0.own.update != tensor.update }
            guard isChanged, tensor.elementCount > 0 else { continue }
            guard tensor.shape.count == 2, tensor.name.hasSuffix(Self.suffix), tensor.name.count > Self.suffix.count
            else {
                others.append(tensor)
                continue
            }
            let isEmbedding = tensor.isEmbedding && !tensor.isHead
            let isDeclared = layouts.layout(ofTensor: tensor.name) == .inOut
            // An adapter of a base that nothing else describes tells the order too.
            let isTold = models.contains { $0.own.update?.isTransposed ?? false }
            modules.append(
                Module(tensor: tensor, isEmbedding: isEmbedding, isTransposed: isEmbedding || isDeclared || isTold))
        }
        self.modules = modules
        self.others = others
    }

    /// Whether the settings state that weights are stored as `[in, out]`.
    public var isFanInFanOut: Bool { modules.contains { $0.isTransposed && !$0.isEmbedding } }

    /// The models that take part in a tensor, each with its own tensor.
    private static func models(
        of tensor: TensorInventory, _ spec: JobSpec, _ inventory: JobInventory, _ settings: MergeSettings
    ) -> [(task: TaskSpec, own: TensorInventory)] {
        spec.mergedTasks.compactMap { task in
            guard settings.weight(of: task, tensor: tensor.name) != 0,
                let own = inventory.checkpoints[task.name]?.tensors[tensor.name]
            else { return nil }
            return (task, own)
        }
    }

    /// The models that take part in a tensor, each with its own tensor and position, and with the factor of its vector
    /// in a weighted sum: α w_t, or α w_t / Σ w_t.
    public func terms(of tensor: TensorInventory) -> [(position: Int, own: TensorInventory, factor: Double)] {
        let divisor = settings.divides(tensor: tensor.name) ? settings.weightSum(tensor: tensor.name) : 1
        return Self.models(of: tensor, spec, inventory, settings).compactMap { task, own in
            guard let position = spec.mergedTasks.firstIndex(where: { $0.name == task.name }) else { return nil }
            let weight = settings.weight(of: task, tensor: tensor.name)
            return (position, own, settings.scale(tensor: tensor.name) * weight / divisor)
        }
    }

    /// The rank of a module's concatenated factors.
    public func exactRank(of module: Module) -> Int {
        terms(of: module.tensor).reduce(0) { $0 + ($1.own.update?.rank ?? 0) }
    }

    /// Whether a module's factors come from those of the models: all of them are adapters of the base, under a weighted
    /// sum, and their ranks together do not exceed the matrix's.
    ///
    /// Then its leading triplets take no decomposition of the whole matrix.
    public func isConcatenated(_ module: Module) -> Bool {
        guard case .atMost? = spec.checkpoint.adapterRank else { return true }
        guard case .elements = spec.method.scope, spec.method.scope.elementwise.isWeightedSum else { return false }
        return exactRank(of: module) <= min(module.inputs, module.outputs)
            && terms(of: module.tensor).allSatisfy { $0.own.slice == module.tensor.slice }
    }

    /// The most that a module's rank can be.
    public func rankBound(of module: Module) -> Int {
        switch spec.checkpoint.adapterRank {
        case .atMost(let rank)?: min(rank, module.inputs, module.outputs)
        case .exact?, nil: exactRank(of: module)
        }
    }

    /// The first tensor that a model changes by other means than two factors; `nil` for adapters of the base alone.
    func firstWhole() -> (task: TaskName, tensor: String)? {
        for tensor in modules.map(\.tensor) + others {
            for (task, own) in Self.models(of: tensor, spec, inventory, settings) where own.slice != tensor.slice {
                return (task.name, tensor.name)
            }
        }
        return nil
    }
}
