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
        let layerNames = renaming.newNames(of: layers.keys.map(\.rawValue) + emptyBlocks.keys, .layer)
        func newName(_ layer: LayerName) -> LayerName? { layerNames[layer.rawValue].map(LayerName.init(rawValue:)) }
        var captures = self
        captures.layers = [:]
        for (name, layer) in layers {
            guard let name = newName(name) else { continue }
            captures.layers[name] = layer
            captures.layers[name]?.sharedInput = layer.sharedInput.flatMap(newName)
        }
        captures.layouts = [:]
        for (name, layout) in layouts {
            guard let name = layerNames[name] else { continue }
            captures.layouts[name] = layout
        }
        captures.diagonals = Set(
            diagonals.compactMap { name in
                layerNames[name.owner].map { FactorName(owner: $0, side: name.side) }
            })
        captures.emptyBlocks = [:]
        for (name, block) in emptyBlocks {
            guard let name = layerNames[name] else { continue }
            captures.emptyBlocks[name] = block
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
        // A layer without rows has no factors.
        let others = rows.keys.filter { rows[$0] == 0 } + uses.values.flatMap { $0 }
        let owners = NewOwners(of: factors.keys, and: others, by: &renaming)
        var set = self
        set.factors = owners.renamed(factors)
        set.ownSamples = owners.renamed(ownSamples)
        set.rows = owners.renamed(rows)
        set.layouts = owners.renamed(layouts)
        set.balances = owners.renamed(balances)
        set.jointRows = jointRows.map(owners.renamed)
        set.uses = owners.renamed(uses).mapValues(owners.renamed)
        return set
    }
}

extension PartialsInventory: Renamable {
    /// The sums, and what is stated about them, under the new names of their layers and parameters.
    public func renamed(by renaming: inout TaskRenaming) -> PartialsInventory {
        let owners = NewOwners(of: sums.keys, by: &renaming)
        var partials = self
        partials.sums = owners.renamed(sums)
        partials.counts = owners.renamed(counts)
        partials.hasBias = owners.renamed(hasBias)
        partials.layouts = owners.renamed(layouts)
        partials.exactTraces = owners.renamed(exactTraces)
        partials.jointParts = jointParts.map { part in
            PartialsInventory.JointPart(tensors: owners.renamed(part.tensors), samples: part.samples)
        }
        return partials
    }
}

/// The new names of the layers and parameters that own factors.
private struct NewOwners {
    private let layers: [String: String]
    private let parameters: [String: String]

    init(of names: some Collection<FactorName>, and layers: [String] = [], by renaming: inout TaskRenaming) {
        self.layers = renaming.newNames(of: Set(names.filter { $0.side != .full }.map(\.owner) + layers), .layer)
        parameters = renaming.newNames(of: Set(names.filter { $0.side == .full }.map(\.owner)), .parameter)
    }

    func renamed<Value>(_ values: [FactorName: Value]) -> [FactorName: Value] {
        var renamed: [FactorName: Value] = [:]
        for (name, value) in values {
            guard let owner = (name.side == .full ? parameters : layers)[name.owner] else { continue }
            renamed[FactorName(owner: owner, side: name.side)] = value
        }
        return renamed
    }

    func renamed(_ tensors: JointRowTensors) -> JointRowTensors {
        var renamed = tensors
        renamed.rows = self.renamed(tensors.rows)
        renamed.squares = self.renamed(tensors.squares)
        return renamed
    }

    func renamed(_ layers: [String]) -> [String] { layers.compactMap { self.layers[$0] } }

    func renamed<Value>(_ values: [String: Value]) -> [String: Value] {
        var renamed: [String: Value] = [:]
        for (name, value) in values {
            guard let name = layers[name] ?? parameters[name] else { continue }
            renamed[name] = value
        }
        return renamed
    }
}
