import Identifiers

extension JobSpec {
    /// Problems of slices that do not name all layers of the base and of the models.
    ///
    /// Source: mergekit takes the number of layers from `config.json`; without one the tensors' names tell it.
    func sliceProblems(_ inventory: JobInventory) -> [JobProblem] {
        guard outputs.contains(.merged), let last = slices.last else { return [] }
        let stacks = NetworkDepth(base: inventory.base).outerStacks
        guard let stack = stacks.first, stacks.count == 1 else {
            let found =
                stacks.isEmpty
                ? "the base has no numbered layers"
                : "the base has several lists of layers, \(stacks.keys.sorted().quotedList)"
            return [
                JobProblem(
                    at: last.location,
                    "\(found), so \"slices\" do not say which layers they mean. List whole models under \"models\".")
            ]
        }
        // The tensors of a model without a configuration are compared with the base's by their names.
        let own = inventory.base.configuration?.layerCount
        let models = tasks.compactMap { task in
            inventory.checkpoints[task.name]?.configuration.map { ("task \"\(task.name)\"", $0) }
        }
        let stated = models.compactMap { owner, configuration in configuration.layerCount.map { (owner, $0) } }
        let counts = [("the base", own ?? LayerCount(count: stack.value, source: "\"\(stack.key)\""))] + stated
        return counts.compactMap { owner, layers in
            let end = last.layers.upperBound
            guard layers.count != end else { return nil }
            return JobProblem(
                at: last.location,
                "the slices end at layer \(end), but \(owner) has \(layers.count) layers (\(layers.source)); expected all "
                    + "layers, because merges keep their number. End the last slice at \(layers.count).")
        }
    }
}

/// A number of layers, and the words that say where it stands.
private struct LayerCount {
    var count: Int
    var source: String
}

extension ModelConfiguration {
    /// The keys that give the number of layers in mergekit's architectures.
    private static let layerCountKeys = ["num_hidden_layers", "n_layer", "text_config.num_hidden_layers"]

    /// The number of layers that the model states.
    fileprivate var layerCount: LayerCount? {
        Self.layerCountKeys.lazy.compactMap { key in
            values[key].flatMap(Int.init).map { LayerCount(count: $0, source: "\"\(key)\" in \(location)") }
        }.first
    }
}
