import Identifiers

/// The content of a task's files, whose names the task's `rename` changes before they are compared with the base's.
public protocol Renamable {
    /// The same content under its new names.
    func renamed(by renaming: inout TaskRenaming) -> Self
}

extension CheckpointInventory: Renamable {
    /// The checkpoint with its tensors under their new names.
    public func renamed(by renaming: inout TaskRenaming) -> CheckpointInventory {
        let names = renaming.newNames(of: tensors.keys, .tensor)
        let shards = shards.map { shard in
            var shard = shard
            shard.tensors = shard.tensors.compactMap { tensor in
                guard let name = names[tensor.name] else { return nil }
                var tensor = tensor
                tensor.name = name
                return tensor
            }
            return shard
        }
        var checkpoint = CheckpointInventory(
            location: location, shards: shards, isQuantized: isQuantized, modelType: modelType)
        checkpoint.configuration = configuration
        return checkpoint
    }
}

extension CaptureInventory: Renamable {
    /// The captures with their layers and parameters under their new names.
    public func renamed(by renaming: inout TaskRenaming) -> CaptureInventory {
        let layerNames = renaming.newNames(of: layers.keys.map(\.rawValue), .layer)
        func newName(_ layer: LayerName) -> LayerName? { layerNames[layer.rawValue].map(LayerName.init(rawValue:)) }
        var captures = self
        captures.layers = [:]
        for (name, layer) in layers {
            guard let name = newName(name) else { continue }
            captures.layers[name] = layer
            captures.layers[name]?.sharedInput = layer.sharedInput.flatMap(newName)
        }
        let parameterNames = renaming.newNames(of: parameters.keys.map(\.rawValue), .parameter)
        captures.parameters = [:]
        for (name, parameter) in parameters {
            guard let name = parameterNames[name.rawValue] else { continue }
            captures.parameters[ParameterName(rawValue: name)] = parameter
        }
        return captures
    }
}

extension FactorSetInventory: Renamable {
    /// The factors under the new names of their layers and parameters.
    public func renamed(by renaming: inout TaskRenaming) -> FactorSetInventory {
        func owners(_ isFull: Bool) -> Set<String> {
            Set(factors.keys.filter { ($0.side == .full) == isFull }.map(\.owner))
        }
        let layers = renaming.newNames(of: owners(false), .layer)
        let parameters = renaming.newNames(of: owners(true), .parameter)
        var set = self
        set.factors = [:]
        for (name, factor) in factors {
            guard let owner = (name.side == .full ? parameters : layers)[name.owner] else { continue }
            set.factors[FactorName(owner: owner, side: name.side)] = factor
        }
        return set
    }
}
