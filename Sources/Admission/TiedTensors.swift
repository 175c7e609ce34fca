import JobPlan
import Safetensors
import UnitOperations

/// Finds tensors that one side of a merge lacks because they are tied to another tensor, such as a head to its
/// embedding.
struct TiedTensors {
    /// The open files of the job that slices refer to.
    let files: [SafetensorsFile]

    /// The most differing tensors that are compared.
    ///
    /// More of them have another cause than tied heads, and comparing all would read the models many times.
    private static let candidatesMax = 8
    /// Bytes that are compared at a time.
    private static let blockByteCount = 1 << 20

    /// Notes which of a checkpoint's tensors are tied, and gives a missing tensor the one that it is tied to.
    ///
    /// A tensor is tied when the side that has it holds the same bytes under another name that both sides have. A
    /// missing tensor is also tied when the checkpoint's configuration says that it ties its word embeddings, and a
    /// missing head when it does not deny that. So a model is read in the same way as the base and beside it.
    func settle(_ checkpoint: inout CheckpointInventory, against base: CheckpointInventory) {
        let own = checkpoint
        let missing = base.tensors.values.filter { own.tensors[$0.name] == nil && Self.isMatrix($0) }
        let strangers = own.tensors.values.filter { base.tensors[$0.name] == nil && Self.isMatrix($0) }
        guard missing.count + strangers.count <= Self.candidatesMax else { return }
        for tensor in missing {
            let twins = twins(of: tensor, in: base, shared: own)
            let saysTied = own.configuration?.tiesEmbeddings ?? false
            // The type of the base's head does not matter, because the model has none.
            let implied = StoredTies.isHead(tensor.name) ? StoredTies.embedding(of: own) : nil
            let twin =
                twins.first { holdSameBytes($0, tensor) } ?? (saysTied ? twins.first(where: \.isEmbedding) : nil)
                ?? implied.flatMap { $0.shape == tensor.shape ? base.tensors[$0.name] : nil }
            if let twin { checkpoint.tie(tensor.name, to: twin.name) }
        }
        for tensor in strangers {
            let twin = twins(of: tensor, in: own, shared: base).first { holdSameBytes($0, tensor) }
            if let twin { checkpoint.tie(tensor.name, to: twin.name) }
        }
    }

    /// Gives the merged model a head of its own where a model has one, although the base's head is its embedding.
    ///
    /// The base then holds its embedding twice, and so do the models whose heads are tied. Source: the loading of
    /// Hugging Face transformers, which takes a tied head from the embedding.
    func separateHeads(in inventory: inout JobInventory, of spec: JobSpec) {
        let base = inventory.base
        guard let tie = StoredTies.embedding(of: base) else { return separateStoredHeads(in: &inventory, of: spec) }
        for task in spec.mergedTasks {
            guard let own = inventory.checkpoints[task.name] else { continue }
            let heads = own.tensors.values.filter { head in
                base.tensors[head.name] == nil && own.ties[head.name] == nil && StoredTies.isHead(head.name)
                    && head.shape == tie.shape && head.floatingType != nil && tie.floatingType != nil
                    && !IgnoredTensors(spec).contains(head.name)
            }
            for head in heads.sorted(by: { $0.name < $1.name }) {
                inventory.base.separate(head.name, from: tie.name)
                note(head.name, apartFrom: tie.name, task, &inventory)
            }
        }
        guard !inventory.base.heads.isEmpty else { return }
        for (task, var checkpoint) in inventory.checkpoints {
            settle(&checkpoint, against: inventory.base)
            inventory.checkpoints[task] = checkpoint
        }
    }

    /// Notes the heads that the base stores beside its embedding, and that it does not deny to be tied.
    ///
    /// They are second copies if the base and all models hold one weight twice. They are heads of their own if some
    /// hold one weight and others two, whichever of them is the base.
    private func separateStoredHeads(in inventory: inout JobInventory, of spec: JobSpec) {
        for tie in StoredTies(in: inventory.base).ties where StoredTies.isHead(tie.tensor.name) {
            let name = tie.tensor.name
            let isIgnored = IgnoredTensors(spec).contains(name)
            if let embedding = tie.embeddings.first(where: { holdSameBytes($0, tie.tensor) }) {
                let task = spec.mergedTasks.first { hasBoth(name, embedding.name, $0, inventory) }
                guard let task, !isIgnored else {
                    inventory.base.note(name, asCopyOf: embedding.name)
                    continue
                }
                inventory.base.separate(name, from: embedding.name)
                note(name, apartFrom: embedding.name, task, &inventory)
            } else if let embedding = tie.embeddings.first, !isIgnored,
                let task = spec.mergedTasks.first(where: { holdsOnce(name, embedding.name, $0, inventory) })
            {
                inventory.base.separate(name, from: embedding.name)
                inventory.notices.append(
                    JobNotice(
                        at: inventory.checkpoints[task.name]?.location ?? task.location,
                        "the model of task \"\(task.name)\" ties \"\(name)\" to \"\(embedding.name)\", and the base holds "
                            + "both. \(Self.separation) To keep the base's, add \"\(name)\" to \"ignore\"."))
            }
        }
    }

    /// Whether a task's model has one weight where the base has two: it lacks the head, or holds the same bytes twice.
    private func holdsOnce(_ head: String, _ embedding: String, _ task: TaskSpec, _ inventory: JobInventory) -> Bool {
        guard let own = inventory.checkpoints[task.name] else { return false }
        if own.ties[head] == embedding { return true }
        guard let found = own.tensors[head], let other = own.tensors[embedding] else { return false }
        return !Self.isUpdatedAlone(found, beside: other) && holdSameBytes(found, other)
    }

    private func note(
        _ head: String, apartFrom embedding: String, _ task: TaskSpec, _ inventory: inout JobInventory
    ) {
        inventory.notices.append(
            JobNotice(
                at: inventory.checkpoints[task.name]?.location ?? task.location,
                "the model of task \"\(task.name)\" has a \"\(head)\" of its own, which the base ties to "
                    + "\"\(embedding)\". \(Self.separation) To keep it tied, add \"\(head)\" to \"ignore\"."))
    }

    /// What becomes of a head that some models tie and others do not.
    private static let separation =
        "The merged model has both, merged apart, and its config.json says \"tie_word_embeddings\": false."

    /// Notes which stored tensors of the base are second copies of its embedding, so that they are one weight.
    ///
    /// They are one only if every model that stores both holds the same bytes twice. Otherwise they stay apart, and a
    /// notice says so. A head that another notice has told of has one only with curvature, for its factors.
    func noteCopies(in inventory: inout JobInventory, of spec: JobSpec) {
        let ties = StoredTies(in: inventory.base).ties
        guard ties.count <= Self.candidatesMax else { return }
        let hasCurvature = spec.tasks.contains(where: \.hasCurvature)
        for tie in ties {
            let name = tie.tensor.name
            // Those that are known were compared when heads were settled.
            guard inventory.base.copies[name] == nil, hasCurvature || inventory.base.heads[name] == nil else {
                continue
            }
            guard let embedding = tie.embeddings.first(where: { holdSameBytes($0, tie.tensor) }) else {
                if tie.isStated, let first = tie.embeddings.first {
                    inventory.notices.append(
                        JobNotice(
                            at: inventory.base.location,
                            "config.json ties \"\(name)\" to \"\(first.name)\", but the files hold two different "
                                + "tensors. \(Self.treatment(hasCurvature)) If the model is tied, save it again; "
                                + "otherwise write \"tie_word_embeddings\": false."))
                }
                continue
            }
            let untied = spec.mergedTasks.first { hasBoth(name, embedding.name, $0, inventory) }
            guard let untied else {
                inventory.base.note(name, asCopyOf: embedding.name)
                continue
            }
            inventory.notices.append(
                JobNotice(
                    at: inventory.checkpoints[untied.name]?.location ?? untied.location,
                    "the base holds one weight as \"\(name)\" and as \"\(embedding.name)\", but the model of task "
                        + "\"\(untied.name)\" two different ones. \(Self.treatment(hasCurvature)) If that model is tied, "
                        + "save it again."))
        }
    }

    /// What becomes of tensors that a configuration ties and that differ.
    ///
    /// Source: `tie_weights` of Hugging Face transformers.
    private static func treatment(_ hasCurvature: Bool) -> String {
        "They are merged apart\(hasCurvature ? ", each with its own factors" : ""), as transformers 5 loads them; "
            + "transformers 4 may load the embedding for both."
    }

    /// Whether a task's model has two different tensors where the base holds one twice.
    private func hasBoth(
        _ head: String, _ embedding: String, _ task: TaskSpec, _ inventory: JobInventory
    ) -> Bool {
        guard let own = inventory.checkpoints[task.name]?.tensors, let head = own[head], let other = own[embedding],
            head.slice != other.slice
        else { return false }
        return Self.isUpdatedAlone(head, beside: other) || !holdSameBytes(head, other)
    }

    /// Whether an adapter changes a head, and its embedding not in the same way.
    ///
    /// An adapter of the embedding alone changes the head too, as `merge_and_unload` of PEFT does to one weight.
    private static func isUpdatedAlone(_ head: TensorInventory, beside embedding: TensorInventory) -> Bool {
        head.update != nil && head.update != embedding.update
    }

    private static func isMatrix(_ tensor: TensorInventory) -> Bool {
        tensor.shape.count == 2 && tensor.elementCount > 1 && tensor.floatingType != nil
    }

    /// The tensors of the same type and shape that both sides have, embeddings first.
    private func twins(
        of tensor: TensorInventory, in owner: CheckpointInventory, shared other: CheckpointInventory
    ) -> [TensorInventory] {
        owner.tensors.values.filter { twin in
            twin.name != tensor.name && twin.shape == tensor.shape && twin.elementType == tensor.elementType
                && other.tensors[twin.name] != nil
        }.sorted { ($0.isEmbedding ? 0 : 1, $0.name) < ($1.isEmbedding ? 0 : 1, $1.name) }
    }

    /// Whether two tensors hold the same numbers; constants do not count, because they may be equal by chance.
    private func holdSameBytes(_ one: TensorInventory, _ other: TensorInventory) -> Bool {
        guard one.slice.byteCount == other.slice.byteCount else { return false }
        let size = one.slice.byteCount
        let element = Int(size) / max(1, one.elementCount)
        for offset in stride(from: UInt64(0), to: size, by: Self.blockByteCount) {
            let count = Int(min(UInt64(Self.blockByteCount), size - offset))
            guard let first = bytes(one.slice, offset, count), let second = bytes(other.slice, offset, count),
                first == second
            else { return false }
            if offset == 0, first.dropFirst(element).elementsEqual(first.dropLast(element)) { return false }
        }
        return true
    }

    private func bytes(_ slice: FileSlice, _ offset: UInt64, _ count: Int) -> [UInt8]? {
        guard files.indices.contains(slice.file) else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        guard (try? files[slice.file].read(fromFileOffset: Int(slice.offset + offset), into: &raw)) != nil else {
            return nil
        }
        return bytes
    }
}
