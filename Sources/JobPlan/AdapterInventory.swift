public import Identifiers
import NameMatching
import UnitOperations

/// A PEFT adapter by its headers: what it changes, by the names of the tensors that it changes.
///
/// Source: PEFT, `peft/tuners/lora/layer.py`, `get_delta_weight`.
public struct AdapterInventory: Equatable, Sendable {
    /// The factors of one module's update.
    public struct Update: Equatable, Sendable {
        /// How the factors multiply to the module's weight.
        public enum Form: Equatable, Sendable {
            /// A linear layer or a convolution; the weight is stored transposed if the adapter says so.
            case weight(isTransposed: Bool)
            /// An embedding, `[vocabulary, dimension]`, stored transposed.
            case embedding
            /// A bias, which has one factor.
            case bias
        }

        /// How the factors multiply.
        public var form: Form
        /// LoRA's B.
        public var up: TensorInventory
        /// LoRA's A; `nil` for a bias.
        public var down: TensorInventory?
        /// The factor of the product.
        public var scale: Double

        /// Describes an update.
        public init(form: Form, up: TensorInventory, down: TensorInventory?, scale: Double) {
            self.form = form
            self.up = up
            self.down = down
            self.scale = scale
        }

        /// r, the first extent of LoRA's A.
        public var rank: Int { down?.shape.first ?? 1 }
        /// The factors.
        public var tensors: [TensorInventory] { [up] + (down.map { [$0] } ?? []) }
    }

    /// The updates, by the names of the tensors that they change.
    public private(set) var updates: [String: Update]
    /// Tensors that replace others of their names; each has the adapter's own name for it.
    public private(set) var replacements: [String: TensorInventory]

    /// Collects what an adapter changes.
    public init(updates: [String: Update], replacements: [String: TensorInventory]) {
        self.updates = updates
        self.replacements = replacements
    }

    /// The adapter without some of the tensors that replace others.
    public func withoutReplacements(_ isLeftOut: (String, TensorInventory) -> Bool) -> AdapterInventory {
        AdapterInventory(updates: updates, replacements: replacements.filter { !isLeftOut($0.key, $0.value) })
    }

    /// Applies the adapter to a checkpoint.
    ///
    /// - Parameters:
    ///   - parent: The checkpoint that the adapter was trained on.
    ///   - task: The task, for messages.
    ///   - spec: The job; a change of a tensor that it does not merge and that the checkpoint lacks is left out.
    /// - Returns: The checkpoint with the adapter's values, and a sentence for each change that does not fit.
    public func applied(
        to parent: CheckpointInventory, task: TaskName, of spec: JobSpec
    ) -> (checkpoint: CheckpointInventory, problems: [String]) {
        var changed: [String: TensorInventory] = [:]
        var problems: [String] = []
        var strangers: [(name: String, own: String)] = []
        let ignored = IgnoredTensors(spec)
        for (name, own) in replacements.sorted(by: { $0.key < $1.key }) {
            guard parent.tensors[name] != nil || parent.isSharedHead(name, shape: own.shape) else {
                strangers.append((name, own.name))
                continue
            }
            var tensor = own
            tensor.name = name
            changed[name] = tensor
        }
        let layouts = AdapterLayouts(spec: spec, base: parent, updates: updates)
        var undecided: [String] = []
        for (name, update) in updates.sorted(by: { $0.key < $1.key }) {
            // The weight itself may be in the adapter's file too.
            guard var tensor = changed[name] ?? parent.tensors[name] else {
                strangers.append((name, update.up.name))
                continue
            }
            let layout = layouts.layout(of: name)
            if update.isUndecided(for: tensor, layout: layout) {
                undecided.append(name)
            } else if let sum = update.lowRank(for: tensor, layout: layout) {
                tensor.update = sum
                changed[name] = tensor
            } else {
                problems.append(update.misfit(with: tensor, task: task))
            }
        }
        strangers.removeAll { ignored.contains($0.name) }
        if let sentence = coded(strangers.map(\.name), parent, task) { return (parent, [sentence]) }
        problems += sentences(of: strangers, parent, task)
        if let first = undecided.first {
            problems.append(
                "the adapter of task \"\(task)\" states \"fan_in_fan_out\": true, but nothing tells whether "
                    + "\(undecided.quotedList), of equally many rows and columns, \(undecided.count == 1 ? "is" : "are") "
                    + "stored as [d_in, d_out]. Declare it in the job, as in \"kfac: {layout: "
                    + "{\"\(first.dropLast(7))\": in_out}}\"; out_in means [d_out, d_in], as torch.nn.Linear has it.")
        }
        var checkpoint = parent
        checkpoint.replace(changed)
        return (checkpoint, problems)
    }

    /// The word embeddings that it changes of a model whose head shares them, as long as it has no head of its own.
    public func sharedEmbeddings(of parent: CheckpointInventory) -> [String] {
        let names = Set(updates.keys).union(replacements.keys)
        guard !parent.tensors.keys.contains(where: TensorNames.isHead), !names.contains(where: TensorNames.isHead),
            parent.configuration?.tiesEmbeddings ?? false
        else { return [] }
        return names.filter { name in parent.tensors[name].map(TensorNames.isWordEmbedding) ?? false }.sorted()
    }

    /// What the adapter changes, in a sentence for a notice.
    public func description(of task: TaskName) -> String {
        let ranks = Set(updates.values.filter { $0.form != .bias }.map(\.rank)).sorted().map(String.init)
        let scales = Set(updates.values.map(\.scale)).sorted().map { "\($0)" }
        func count(_ count: Int, _ word: String) -> String { "\(count) \(word)\(count == 1 ? "" : "s")" }
        let products =
            updates.isEmpty
            ? "" : " by products of rank \(ranks.listed(limit: 4)) with the scale \(scales.listed(limit: 4))"
        return
            "the model of task \"\(task)\" is an adapter: it changes \(count(updates.count, "tensor"))\(products), and "
            + "replaces \(replacements.count); the others are the model's that it was trained on."
    }

    /// The sentence about a quantised model, to whose codes nothing can be added; `nil` for any other.
    private func coded(_ strangers: [String], _ parent: CheckpointInventory, _ task: TaskName) -> String? {
        guard let (form, _) = QuantizedForm.find(in: parent) else { return nil }
        let codes = strangers + updates.keys.filter { parent.tensors[$0].map { $0.floatingType == nil } ?? false }
        guard !codes.isEmpty else { return nil }
        return
            "the adapter of task \"\(task)\" changes \(codes.sorted().quotedList), which the model \(parent.location) has "
            + "in the form \(form.rawValue): nothing can be added to codes. \(form.remedy)."
    }

    private func sentences(
        of strangers: [(name: String, own: String)], _ parent: CheckpointInventory, _ task: TaskName
    ) -> [String] {
        if let sentence = renaming(of: strangers.map(\.name), parent, task) { return [sentence] }
        lazy var known = parent.tensors.keys.sorted()
        let place = "which the model \(parent.location) lacks"
        let remedy =
            "Name the model that the adapter was trained on as the base, or give the base's names by \"rename\"."
        guard strangers.count <= SharedFaults.separateMax else {
            return [
                "\(strangers.count) tensors of the adapter of task \"\(task)\" change tensors \(place): "
                    + "\(strangers.map(\.name).quotedList). \(remedy)"
            ]
        }
        return strangers.map { name, own in
            let meant = suggestion(for: name, among: known)
            return "\"\(own.excerpt)\" of the adapter of task \"\(task)\" changes \"\(name.excerpt)\", \(place)."
                + "\(meant) \(remedy)"
        }
    }

    /// The sentence about names that one change turns into the model's: a wrapper, or another version of a library.
    private func renaming(of strangers: [String], _ parent: CheckpointInventory, _ task: TaskName) -> String? {
        guard strangers.count > 1 else { return nil }
        let own = Set(updates.keys).union(replacements.keys)
        let kept = own.filter { parent.tensors[$0] != nil }
        if let entries = CompositePrefixes.entries(
            from: strangers, among: Set(parent.tensors.keys), keeping: Array(kept))
        {
            let list = entries.map { "\"\($0.from)\": \"\($0.to)\"" }.joined(separator: ", ")
            return
                "\(strangers.count) tensors that the adapter of task \"\(task)\" changes have other beginnings of names in "
                + "the model \(parent.location), as another version of transformers writes them: \"\(strangers[0].excerpt)\". "
                + "Write rename: {\(list)} in the model's entry."
        }
        let free = parent.tensors.keys.filter { !own.contains($0) }
        guard let mapping = NameMapping(from: free, to: strangers), mapping.names.count == strangers.count else {
            return nil
        }
        return mapping.sentence(
            of: strangers.count, "changed tensors", of: "the adapter of task \"\(task)\"",
            and: "the model \(parent.location)", keeping: Array(kept))
    }
}

extension AdapterInventory: Renamable {
    /// The adapter with the tensors that it changes under their new names.
    public func renamed(by renaming: inout TaskRenaming) -> AdapterInventory {
        let names = renaming.newNames(of: Array(updates.keys) + Array(replacements.keys), .tensor)
        func renamed<Value>(_ values: [String: Value]) -> [String: Value] {
            Dictionary(
                values.compactMap { name, value in names[name].map { ($0, value) } },
                uniquingKeysWith: { first, _ in first })
        }
        return AdapterInventory(updates: renamed(updates), replacements: renamed(replacements))
    }
}

extension AdapterInventory.Update {
    /// The update of a tensor; `nil` for shapes that do not fit, or tensors that are not numbers.
    ///
    /// Where only the other order than the known one fits, it is the module's.
    func lowRank(for tensor: TensorInventory, layout: WeightLayout?) -> LowRankUpdate? {
        guard tensor.floatingType != nil, let rows = tensor.shape.first, rows > 0, tensor.elementCount > 0,
            let upType = up.floatingType
        else { return nil }
        let upFactor = LowRankUpdate.Factor(elementType: upType, slice: up.slice)
        let columns = tensor.elementCount / rows
        guard form != .bias else {
            guard tensor.shape.count == 1, up.shape == tensor.shape else { return nil }
            return LowRankUpdate(up: upFactor, down: nil, rows: rows, columns: 1, rank: 1, scale: scale)
        }
        guard let down, let downType = down.floatingType, rank > 0,
            let isTransposed = orders(layout).first(where: { fits(tensor, isTransposed: $0) })
        else { return nil }
        return LowRankUpdate(
            up: upFactor, down: LowRankUpdate.Factor(elementType: downType, slice: down.slice), rows: rows,
            columns: columns, rank: rank, scale: scale, isTransposed: isTransposed)
    }

    /// Whether the adapter's setting alone says that a square weight is stored transposed.
    func isUndecided(for tensor: TensorInventory, layout: WeightLayout?) -> Bool {
        guard layout == nil, form == .weight(isTransposed: true) else { return false }
        return fits(tensor, isTransposed: true) && fits(tensor, isTransposed: false)
    }

    /// The layout of a tensor that the factors fit in one order only; `nil` for any other.
    func onlyLayout(of tensor: TensorInventory) -> WeightLayout? {
        guard case .weight = form, tensor.shape.count == 2 else { return nil }
        return switch (fits(tensor, isTransposed: true), fits(tensor, isTransposed: false)) {
        case (true, false): .inOut
        case (false, true): .outIn
        default: nil
        }
    }

    /// The orders in which the weight may be stored, the known or stated one first.
    private func orders(_ layout: WeightLayout?) -> [Bool] {
        switch form {
        case .weight(let isStated):
            let isTransposed = layout.map { $0 == .inOut } ?? isStated
            return [isTransposed, !isTransposed]
        case .embedding: return [true]
        case .bias: return []
        }
    }

    private func fits(_ tensor: TensorInventory, isTransposed: Bool) -> Bool {
        guard let down, tensor.shape.count >= 2 else { return false }
        if tensor.shape.count > 2 {
            // A convolution: [out, in, kernel…] of [out, r, 1…] and [r, in, kernel…].
            return !isTransposed && form != .embedding && down.shape.dropFirst() == tensor.shape.dropFirst()
                && up.shape.prefix(2) == [tensor.shape[0], rank] && up.shape.dropFirst(2).allSatisfy { $0 == 1 }
        }
        let (outputs, inputs) =
            isTransposed ? (tensor.shape[1], tensor.shape[0]) : (tensor.shape[0], tensor.shape[1])
        return down.shape == [rank, inputs] && up.shape == [outputs, rank]
    }

    /// The sentence about a tensor that the update does not fit.
    fileprivate func misfit(with tensor: TensorInventory, task: TaskName) -> String {
        let factors = ([down].compactMap { $0 } + [up]).map { "\"\($0.name.excerpt)\" \($0.elementType) \($0.shape)" }
        let expected =
            switch form {
            case .bias: "\(tensor.shape)"
            case .embedding: "[r, vocabulary] and [dimension, r] for [vocabulary, dimension]"
            case .weight: "[r, in] and [out, r] for [out, in], of floating-point numbers"
            }
        return
            "\(factors.joined(separator: " and ")) of the adapter of task \"\(task)\" do not fit \"\(tensor.name.excerpt)\" "
            + "\(tensor.elementType) \(tensor.shape); expected \(expected). Name the model that the adapter was trained on."
    }
}
