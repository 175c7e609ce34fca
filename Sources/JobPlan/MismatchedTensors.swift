public import Identifiers

/// Settles the tensors that models have in another shape than the base, as the job's key `mismatched_shapes` says.
public struct MismatchedTensors {
    /// Embeddings and heads that a model has with another number of rows.
    public struct Resized: Equatable, Sendable {
        /// The model's task.
        public let task: TaskName
        /// The tensors.
        public let names: [String]
        /// The rows that the base and the model have, by tensor.
        public let rows: Int
    }

    private let spec: JobSpec
    private let ignored: IgnoredTensors

    /// Takes a job.
    public init(of spec: JobSpec) {
        self.spec = spec
        ignored = IgnoredTensors(spec)
    }

    private var isAsked: Bool { spec.outputs.contains(.merged) && spec.mismatchedShapes != .refuse }

    /// A model's tensors that have another shape than the base's, sorted by name.
    private func mismatched(_ own: CheckpointInventory, _ base: CheckpointInventory) -> [String] {
        base.tensors.values.filter { tensor in
            guard let other = own.tensors[tensor.name], other.shape != tensor.shape else { return false }
            return !ignored.contains(tensor.name) && !(tensor.isBuffer && other.isBuffer)
        }.map(\.name).sorted()
    }

    /// What each model has in other numbers of rows, under `slice`.
    public func resized(in inventory: JobInventory) -> [Resized] {
        guard isAsked, spec.mismatchedShapes == .slice else { return [] }
        return spec.mergedTasks.compactMap { task in
            guard let own = inventory.checkpoints[task.name] else { return nil }
            let names = mismatched(own, inventory.base).filter { isResized($0, own, inventory.base) }
            let rows = names.compactMap { name in
                inventory.base.tensors[name]?.shape.first.map { min($0, own.tensors[name]?.shape.first ?? 0) }
            }
            return names.isEmpty ? nil : Resized(task: task.name, names: names, rows: rows.max() ?? 0)
        }
    }

    /// Only a row of an embedding or of a head is a token; any other part of a tensor has a place of its own.
    private func isResized(_ name: String, _ own: CheckpointInventory, _ base: CheckpointInventory) -> Bool {
        guard let (found, expected) = own.tensors[name].flatMap({ own in base.tensors[name].map { (own, $0) } }) else {
            return false
        }
        return expected.isVocabulary && !found.shape.isEmpty && !expected.shape.isEmpty
            && found.shape.dropFirst() == expected.shape.dropFirst() && expected.floatingType != nil
    }

    /// Keeps the base's tensors, or cuts all models' to the rows that they have in common.
    ///
    /// - Parameters:
    ///   - inventory: The files, with what is done about the tensors as notices.
    ///   - agreeing: The models whose tokens are known to be the base's in the common rows.
    public func settle(_ inventory: inout JobInventory, agreeing: [Resized]) {
        guard isAsked else { return }
        if spec.mismatchedShapes == .base { return keep(&inventory) }
        let names = Set(agreeing.flatMap(\.names)).sorted()
        var groups: [[Int]: [String]] = [:]
        for name in names {
            let models = spec.mergedTasks.compactMap { inventory.checkpoints[$0.name]?.tensors[name] }
            guard let base = inventory.base.tensors[name], let all = base.shape.first,
                models.allSatisfy({ $0.shape.dropFirst() == base.shape.dropFirst() && !$0.shape.isEmpty })
            else { continue }
            let common = models.reduce(all) { min($0, $1.shape[0]) }
            inventory.base.cut(name, toRows: common)
            for task in spec.mergedTasks { inventory.checkpoints[task.name]?.cut(name, toRows: common) }
            groups[[common, all], default: []].append(name)
        }
        for (rows, names) in groups.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            let tail = rows[1] - rows[0]
            inventory.notices.append(
                JobNotice(
                    at: inventory.base.location,
                    "\(names.quotedList) \(names.count == 1 ? "is" : "are") merged in the first \(rows[0]) rows, which all "
                        + "models have (mismatched_shapes: slice). "
                        + (tail == 0
                            ? "The models' further rows are left out."
                            : "The base's further \(tail) \(tail == 1 ? "row is" : "rows are") kept.")))
        }
    }

    private func keep(_ inventory: inout JobInventory) {
        for task in spec.mergedTasks {
            guard let own = inventory.checkpoints[task.name] else { continue }
            let names = mismatched(own, inventory.base)
            guard !names.isEmpty else { continue }
            for name in names { inventory.base.keep(name) }
            inventory.notices.append(
                JobNotice(
                    at: own.location,
                    "\(names.quotedList) of task \"\(task.name)\" \(names.count == 1 ? "has another shape" : "have other shapes") than "
                        + "in the base, whose \(names.count == 1 ? "tensor is" : "tensors are") kept (mismatched_shapes: base)."
                ))
        }
    }
}

extension TensorInventory {
    /// Whether each row belongs to a token: a word embedding, an output head, or the bias of a head.
    var isVocabulary: Bool {
        let weight = name.hasSuffix(".bias") ? String(name.dropLast(4)) + "weight" : name
        return TensorNames.isWordEmbedding(self) || TensorNames.isTied(weight)
    }
}
