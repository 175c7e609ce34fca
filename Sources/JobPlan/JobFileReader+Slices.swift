import Identifiers
import TaskArithmetic
import Yams

/// mergekit's slices. Those are accepted that leave every layer of every model in its place.
extension JobFileReader {
    /// A slice as written.
    struct WrittenSlice {
        var node: Node
        var sources: [(task: TaskSpec, node: Node)] = []
        /// The layers; `nil` if they could not be read, or are not the next ones.
        var layers: Range<Int>?
        /// Its own parameters, which all sources share.
        var parameters: MergeParameters = [:]
    }

    private static let sourceKeys = ["model", "layer_range", "parameters"]

    /// Reads the slices, which must name the same models and all layers in order.
    ///
    /// Whether they name the last layer is known when the models have been read.
    mutating func readSlices(_ node: Node, base: String?, _ method: MergeMethod?) -> Models? {
        guard case .sequence(let items) = node, !items.isEmpty else {
            report(node, "\"slices\" must be a list of slices.")
            return nil
        }
        guard items.count <= JobFileLimits.slices else {
            report(node, "\"slices\" has \(items.count) entries; at most \(JobFileLimits.slices) are allowed.")
            return nil
        }
        var slices: [WrittenSlice] = []
        // The layer with which the next slice begins; nil once a slice could not be read.
        var next: Int? = 0
        for item in items {
            let slice = readSlice(item, isFirst: slices.isEmpty, next: next, base: base, method)
            next = slice.layers?.upperBound
            if let first = slices.first { compareModels(of: slice, with: first) }
            slices.append(slice)
        }
        var models = models(of: slices[0].sources, base: base)
        for position in models.tasks.indices {
            models.tasks[position].parameters = parameters(of: models.tasks[position], in: slices, method)
        }
        if let base = models.base { models.base?.parameters = parameters(of: base, in: slices, method) }
        models.slices = slices
        return models
    }

    /// The parameters of a model, which each slice gives as those of a source.
    private mutating func parameters(
        of model: TaskSpec, in slices: [WrittenSlice], _ method: MergeMethod?
    ) -> MergeParameters {
        let levels = slices.map { slice -> [MergeParameters] in
            slice.sources.filter { $0.task.model?.value == model.model?.value }.map(\.task.parameters)
        }
        return combining(levels, at: slices.map(\.node), method)
    }

    /// Reads the parameters of the job, which those of slices and of a module precede.
    mutating func readJobParameters(
        _ node: Node?, in list: ModelList?, _ slices: [WrittenSlice], _ method: MergeMethod?
    ) -> MergeParameters {
        let ofJob = node.map { readParameters($0, method, isGlobal: true) } ?? [:]
        let ofModule = list?.moduleParameters.map { [readParameters($0, method, isGlobal: true)] } ?? []
        let shared = ofModule + [ofJob]
        guard !slices.isEmpty else { return combining([shared], at: node.map { [$0] } ?? [], method) }
        return combining(slices.map { [$0.parameters] + shared }, at: slices.map(\.node), method)
    }

    /// The settings of parameters that each slice has on several levels.
    ///
    /// - Parameters:
    ///   - levels: For each slice its parameters, from the highest level to the lowest.
    ///   - places: The slices, for messages.
    ///   - method: The method; without one all parameters are known.
    /// - Returns: The parameters; those that are the same for all tensors cannot differ between slices.
    private mutating func combining(
        _ levels: [[MergeParameters]], at places: [Node], _ method: MergeMethod?
    ) -> MergeParameters {
        var combined: MergeParameters = [:]
        for parameter in method?.parameters ?? MergeMethod.allParameters {
            let setting = ParameterSetting.combining(levels.map { $0.compactMap { $0[parameter] } })
            if case .bySlice? = setting, !parameter.variesByTensor {
                let place = levels.firstIndex { $0.first?[parameter] != nil } ?? 0
                report(
                    places[place],
                    "\"\(parameter.name)\" differs between slices; expected one value for all tensors. Write it under "
                        + "the job's \"parameters\".")
                continue
            }
            combined[parameter.name] = setting
        }
        return combined
    }

    /// The slices with their layers.
    func layerSlices(of slices: [WrittenSlice]) -> [LayerSlice] {
        slices.compactMap { slice in slice.layers.map { LayerSlice(layers: $0, location: location(of: slice.node)) } }
    }

    // MARK: - One slice

    private mutating func readSlice(
        _ node: Node, isFirst: Bool, next: Int?, base: String?, _ method: MergeMethod?
    ) -> WrittenSlice {
        var slice = WrittenSlice(node: node)
        let entries = entries(
            node, of: "a slice", keys: ["sources", "parameters", "base_model"], nullable: ["parameters", "base_model"],
            ineffective: ["residual_weight"])
        if let other = entries["base_model"].flatMap({ text($0, "base_model") }), other.value != base {
            report(
                at: other.location,
                "the \"base_model\" of a slice is \"\(other.value.excerpt)\", which is not the job's; expected one base for "
                    + "all layers. Name it in the job's \"base_model\".")
        }
        slice.parameters = entries["parameters"].map { readParameters($0, method, isGlobal: true) } ?? [:]
        guard let sources = entries["sources"]?.sequence, !sources.isEmpty else {
            report(entries["sources"] ?? node, "a slice must have \"sources\", a list of at least one source.")
            return slice
        }
        guard sources.count <= JobFileLimits.tasks else {
            report(node, "a slice has \(sources.count) sources; at most \(JobFileLimits.tasks) are allowed.")
            return slice
        }
        var ranges: [(node: Node, layers: Range<Int>?)] = []
        for source in sources {
            // What describes a model as a whole stands once.
            let keys = isFirst ? ["layer_range"] + Self.modelKeys : Self.sourceKeys
            let entries = self.entries(source, of: "a source of a slice", keys: keys, nullable: ["parameters"])
            for key in ["model", "layer_range"] where entries[key] == nil {
                report(source, "the key \"\(key)\" is missing in a source of a slice.")
            }
            guard let range = entries["layer_range"], entries["model"] != nil else { continue }
            ranges.append((range, readLayers(range)))
            if let task = readTask(entries, at: source, method) { slice.sources.append((task, source)) }
        }
        slice.layers = layers(of: ranges, next: next)
        return slice
    }

    /// Reads `[first, end]`: the first layer, and the layer behind the last.
    private mutating func readLayers(_ node: Node) -> Range<Int>? {
        let bounds = (node.sequence.map(Array.init) ?? []).compactMap { item -> Int? in
            // Quoted numbers are numbers, as everywhere in a job file.
            guard case .scalar(let scalar) = item else { return nil }
            return Double(scalar.string).flatMap(Int.init(exactly:))
        }
        guard bounds.count == 2, node.sequence?.count == 2, bounds[0] >= 0, bounds[0] < bounds[1] else {
            report(
                node,
                "\"layer_range\" must be [first, end], the number of the first layer, from 0, and that behind the last."
            )
            return nil
        }
        return bounds[0]..<bounds[1]
    }

    /// The layers of a slice, if no layer moves.
    private mutating func layers(of ranges: [(node: Node, layers: Range<Int>?)], next: Int?) -> Range<Int>? {
        guard let first = ranges.first, let layers = first.layers else { return nil }
        for other in ranges.dropFirst() {
            guard let moved = other.layers, moved != layers else { continue }
            report(
                other.node,
                "\"layer_range\" is [\(moved.lowerBound), \(moved.upperBound)], but [\(layers.lowerBound), "
                    + "\(layers.upperBound)] in the first source of the slice, so layers would move; merges keep every "
                    + "layer in its place. Give all sources of a slice the same range.")
        }
        guard let next else { return nil }
        guard layers.lowerBound != next else { return layers }
        let isRepetition = layers.lowerBound < next
        let wrong = isRepetition ? layers.lowerBound..<min(next, layers.upperBound) : next..<layers.lowerBound
        let named =
            wrong.count == 1 ? "layer \(wrong.lowerBound)" : "layers \(wrong.lowerBound) to \(wrong.upperBound - 1)"
        report(
            first.node,
            "\"layer_range\" begins at layer \(layers.lowerBound), so \(named) would be "
                + "\(isRepetition ? "repeated" : "dropped"); expected \(next), because merges keep all layers in their "
                + "places. Let each slice begin where the one before ends.")
        return nil
    }

    /// Refuses a slice of other models than the first slice has.
    private mutating func compareModels(of slice: WrittenSlice, with first: WrittenSlice) {
        let models = slice.sources.compactMap(\.task.model)
        let expected = first.sources.compactMap(\.task.model?.value)
        var seen: Set<String> = []
        for model in models {
            if !seen.insert(model.value).inserted {
                report(
                    at: model.location,
                    "\"\(model.value.excerpt)\" is twice a source of this slice. Remove one of them.")
            } else if !expected.contains(model.value) {
                report(
                    at: model.location,
                    "\"\(model.value.excerpt)\" is no source of the first slice; expected the same models in all slices."
                )
            }
        }
        let missing = expected.filter { !seen.contains($0) }
        guard !missing.isEmpty, !models.isEmpty else { return }
        report(
            slice.node,
            "the slice lacks the source \(missing.quotedList) of the first slice; expected the same models in all slices."
        )
    }
}
