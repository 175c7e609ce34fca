import Identifiers
import NameMatching

/// Compares a task's checkpoint with the base: the problems that forbid a merge, each with its cause, and notices.
struct CheckpointComparison {
    private(set) var problems: [JobProblem] = []
    private(set) var notices: [JobNotice] = []
    private let task: TaskName
    private let checkpoint: CheckpointInventory
    private let base: CheckpointInventory
    private let owner: String
    private let mismatched: MismatchedShapes

    init(
        of task: TaskSpec, _ checkpoint: CheckpointInventory, against base: CheckpointInventory,
        ignoring ignored: IgnoredTensors, renamedBy renaming: TaskRenaming? = nil,
        asking mismatched: MismatchedShapes = .refuse
    ) {
        self.mismatched = mismatched
        self.task = task.name
        self.checkpoint = checkpoint
        self.base = base
        owner = "the checkpoint of task \"\(task.name)\""
        var missing = base.tensors.keys.filter { checkpoint.tensors[$0] == nil && !ignored.contains($0) }.sorted()
        var strangers = checkpoint.tensors.keys.filter { base.tensors[$0] == nil && !ignored.contains($0) }.sorted()
        if explainByAdapter(strangers) || explainByQuantization() || explainByStacking(missing, strangers) { return }
        if explainByPrefixes(missing, strangers) { return }
        var isRenamed = false
        if let mapping = NameMapping(from: missing, to: strangers) {
            let explained = Set(mapping.names.values)
            isRenamed = true
            report(
                mapping.sentence(
                    of: max(missing.count, strangers.count), "tensors", of: owner, and: "the base \(base.location)",
                    keeping: checkpoint.tensors.keys.filter { base.tensors[$0] != nil }))
            missing.removeAll { mapping.names[$0] != nil }
            strangers.removeAll { explained.contains($0) }
        }
        if let renaming { explainByRenaming(renaming, &missing, &strangers) }
        checkMissing(missing)
        checkStrangers(strangers, areSuggested: !isRenamed)
        noteTies(ignored)
        checkCommon(ignored)
    }

    private mutating func report(_ message: String) {
        problems.append(JobProblem(at: checkpoint.location, message))
    }

    /// The sentences about tensors with one problem: one for each when they are few, and otherwise one for all.
    ///
    /// - Parameters:
    ///   - tensors: The tensors.
    ///   - each: The sentence about one tensor.
    ///   - all: The sentence about all, after their number, from the first names.
    /// - Returns: The sentences, in the order of the tensors.
    private func sentences(
        about tensors: [TensorInventory], each: (TensorInventory) -> String, all: (_ list: String) -> String
    ) -> [String] {
        guard tensors.count > SharedFaults.separateMax else { return tensors.map(each) }
        return ["\(tensors.count) " + all(tensors.map(\.name).quotedList)]
    }

    private mutating func note(_ message: String) {
        notices.append(JobNotice(at: checkpoint.location, message))
    }

    // MARK: - Names

    /// An adapter holds low-rank differences, not weights.
    private mutating func explainByAdapter(_ strangers: [String]) -> Bool {
        let adapters = strangers.filter { name in
            ["lora_A", "lora_B", "lora_embedding", "lora_magnitude", "hada_w1", "ia3_l"].contains(where: name.contains)
        }
        guard !adapters.isEmpty else { return false }
        report(
            "\(adapters.count) tensors of \(owner) are those of an adapter (\(adapters.quotedList)), not weights. Merge it "
                + "into its model first: model.merge_and_unload(), then model.save_pretrained().")
        return true
    }

    /// Codes and scales have other names and types than the weights that they stand for.
    private mutating func explainByQuantization() -> Bool {
        let (own, other) = (QuantizedForm.find(in: checkpoint), QuantizedForm.find(in: base))
        guard own?.form != other?.form, let found = own ?? other else { return false }
        let (quantized, partner) =
            own == nil ? ("the base", owner) : (owner, other.map { "the base as \($0.form.rawValue)" } ?? "the base")
        let relation = own == nil || other == nil ? "and \(partner) is not" : "and \(partner)"
        report(
            "\(quantized) is quantised as \(found.form.rawValue), \(relation): \(found.names.count) "
                + "\(found.names.count == 1 ? "tensor" : "tensors") of codes (\(found.names.quotedList)) cannot be merged. "
                + "\(found.form.remedy).")
        return true
    }

    /// Versions of one library put the parts of a model of text and images below other modules.
    private mutating func explainByPrefixes(_ missing: [String], _ strangers: [String]) -> Bool {
        let lacking = Dictionary(
            uniqueKeysWithValues: missing.compactMap { name in base.tensors[name].map { (name, $0) } })
        guard
            let entries = CompositePrefixes.entries(
                from: strangers.compactMap { checkpoint.tensors[$0] }, to: lacking,
                keeping: checkpoint.tensors.keys.filter { base.tensors[$0] != nil })
        else { return false }
        let list = entries.map { "\"\($0.from)\": \"\($0.to)\"" }.joined(separator: ", ")
        report(
            "\(strangers.count) tensors of \(owner) have the shapes of the base's and other beginnings of names, as another "
                + "version of transformers writes them: \"\(strangers[0])\". Save both with one version, or write rename: "
                + "{\(list)} in the model's entry.")
        return true
    }

    /// One model stacks its experts, and the other has them one by one.
    private mutating func explainByStacking(_ missing: [String], _ strangers: [String]) -> Bool {
        func stacks(_ names: [String], _ owner: CheckpointInventory) -> [String] {
            names.filter { name in owner.tensors[name].flatMap(ExpertStack.init) != nil }
        }
        func singles(_ names: [String], of stack: String) -> [String] {
            guard let experts = stack.firstRange(of: "experts.") else { return [] }
            let start = stack[..<experts.upperBound]
            return names.filter { $0.hasPrefix(start) && $0.dropFirst(start.count).first?.isNumber ?? false }
        }
        let (inBase, inModel) = (stacks(missing, base), stacks(strangers, checkpoint))
        let pairs = [
            (stack: inBase.first, single: inBase.first.flatMap { singles(strangers, of: $0).min() }, isBase: true),
            (stack: inModel.first, single: inModel.first.flatMap { singles(missing, of: $0).min() }, isBase: false),
        ]
        for pair in pairs {
            guard let stack = pair.stack, let single = pair.single else { continue }
            let (first, second) = pair.isBase ? ("the base", owner) : (owner, "the base")
            report(
                "\(first) stacks its experts, as in \"\(stack)\", but \(second) has them one by one, as in \"\(single)\". "
                    + "Save both in one form (in transformers: save_pretrained(save_original_format=True) for one by one)."
            )
            return true
        }
        return false
    }

    /// Names that the base lacks because `rename` gave them, and the names that the base has in their place.
    ///
    /// With a wrong entry all of them follow from it, so they are one problem.
    private mutating func explainByRenaming(
        _ renaming: TaskRenaming, _ missing: inout [String], _ strangers: inout [String]
    ) {
        guard renaming.problems.isEmpty else {
            // The entries' own problems are the cause.
            strangers = []
            missing = []
            return
        }
        let given = strangers.filter { name in
            renaming.origin(of: name, .tensor) != nil && !(checkpoint.tensors[name]?.isBuffer ?? false)
                && checkpoint.ties[name] == nil
        }
        let lacking = missing.filter { !(base.tensors[$0]?.isBuffer ?? false) }
        let consequence =
            lacking.isEmpty
            ? "" : " The checkpoint then lacks \(lacking.count) of the base's tensors: \(lacking.quotedList)."
        if let problem = renaming.problem(ofNames: given, .tensor, consequence: consequence) {
            problems.append(problem)
            strangers.removeAll { given.contains($0) }
            missing.removeAll { lacking.contains($0) }
        }
    }

    private mutating func checkMissing(_ names: [String]) {
        let tensors = names.compactMap { base.tensors[$0] }
        lazy var twins = embeddings(in: base)
        let buffers = tensors.filter(\.isBuffer)
        if !buffers.isEmpty {
            note("\(owner) lacks \(buffers.map(\.name).quotedList), which no merge uses: the base's are kept.")
        }
        var others: [TensorInventory] = []
        for tensor in tensors where !tensor.isBuffer {
            guard let twin = embedding(like: tensor, among: twins) else {
                others.append(tensor)
                continue
            }
            report(
                missingSentence(tensor) + " The base holds it apart from \"\(twin)\", so it is not tied. Save the "
                    + "checkpoint with it, or add it to \"ignore\" to keep the base's.")
        }
        sentences(about: others, each: missingSentence) {
            "tensors of the base are missing in \(owner): \($0). Save the whole model, or add them to \"ignore\" to keep "
                + "the base's."
        }.forEach { report($0) }
    }

    private func missingSentence(_ tensor: TensorInventory) -> String {
        "tensor \"\(tensor.name)\" of the base is missing in \(owner); expected \(tensor.elementType) \(tensor.shape)."
    }

    /// Reports what only the model has; names that another cause explains are no slips of others.
    private mutating func checkStrangers(_ names: [String], areSuggested: Bool) {
        lazy var known = base.tensors.keys.sorted()
        lazy var twins = embeddings(in: checkpoint)
        let tensors = names.compactMap { checkpoint.tensors[$0] }.filter { checkpoint.ties[$0.name] == nil }
        let buffers = tensors.filter(\.isBuffer)
        if !buffers.isEmpty {
            note("\(owner) has \(buffers.map(\.name).quotedList), which the base lacks and no merge uses: left out.")
        }
        func sentence(_ tensor: TensorInventory, _ advice: String) -> String {
            "tensor \"\(tensor.name)\" of task \"\(task)\" is not in the base \(base.location).\(advice)"
        }
        var others: [TensorInventory] = []
        for (position, tensor) in tensors.filter({ !$0.isBuffer }).enumerated() {
            let isSuggested = areSuggested && position < JobFileLimits.suggestions
            let suggested = isSuggested ? suggestion(for: tensor.name, among: known) : ""
            if let twin = embedding(like: tensor, among: twins) {
                report(
                    sentence(
                        tensor,
                        " The base ties it to \"\(twin)\"; this checkpoint has trained it apart. Save the base with a head "
                            + "of its own (tie_word_embeddings: false), or add it to \"ignore\" to leave it out."))
            } else if suggested.isEmpty {
                others.append(tensor)
            } else {
                report(sentence(tensor, suggested))
            }
        }
        sentences(about: others) {
            sentence($0, " Add it to \"ignore\" to leave it out.")
        } all: {
            "tensors of task \"\(task)\" are not in the base \(base.location): \($0). Save both from one class of model, or "
                + "add them to \"ignore\" to leave them out."
        }.forEach { report($0) }
    }

    /// The embeddings that both checkpoints have, as one of them holds them, sorted by name.
    private func embeddings(in owner: CheckpointInventory) -> [TensorInventory] {
        owner.tensors.values.filter { tensor in
            tensor.isEmbedding && base.tensors[tensor.name] != nil && checkpoint.tensors[tensor.name] != nil
        }.sorted { $0.name < $1.name }
    }

    /// The embedding to which a head of this shape would be tied.
    private func embedding(like tensor: TensorInventory, among embeddings: [TensorInventory]) -> String? {
        guard tensor.shape.count == 2 else { return nil }
        return embeddings.first { $0.name != tensor.name && $0.shape == tensor.shape }?.name
    }

    private mutating func noteTies(_ ignored: IgnoredTensors) {
        for (name, other) in checkpoint.ties.sorted(by: { $0.key < $1.key }) where !ignored.contains(name) {
            note(
                base.tensors[name] == nil
                    ? "\"\(name)\" of \(owner) equals its \"\(other)\", to which the base ties it: left out."
                    : "\(owner) ties \"\(name)\" to its \"\(other)\", which is merged in its place.")
        }
    }

    // MARK: - Shapes and types

    private mutating func checkCommon(_ ignored: IgnoredTensors) {
        var resized: [(name: String, found: Int, expected: Int)] = []
        var (reshaped, retyped): ([TensorInventory], [TensorInventory]) = ([], [])
        // Only the tensors that differ are sorted, because they are few.
        let differing = base.tensors.filter { name, expected in
            guard let found = checkpoint.tensors[name] else { return false }
            return found.shape != expected.shape || found.elementType != expected.elementType
        }
        for (name, expected) in differing.sorted(by: { $0.key < $1.key }) {
            guard let found = checkpoint.tensors[name], !ignored.contains(name), !base.kept.contains(name) else {
                continue
            }
            // A merge copies the base's buffers and ignores the checkpoint's.
            if found.isBuffer, expected.isBuffer { continue }
            if found.shape != expected.shape {
                if let rows = Self.resizedRows(found, expected) {
                    resized.append((name, rows.found, rows.expected))
                } else {
                    reshaped.append(found)
                }
            }
            if (found.floatingType == nil) != (expected.floatingType == nil) { retyped.append(found) }
        }
        reportShapes(reshaped)
        reportTypes(retyped)
        explainVocabulary(resized)
    }

    private mutating func reportShapes(_ tensors: [TensorInventory]) {
        sentences(about: tensors) {
            "tensor \"\($0.name)\" of task \"\(task)\" has the shape \($0.shape); the base has "
                + "\(base.tensors[$0.name]?.shape ?? []). Merge models of one architecture and size, or write "
                + "\"mismatched_shapes: base\" to keep the base's."
        } all: {
            "tensors of task \"\(task)\" have other shapes than in the base: \($0). The first has "
                + "\(tensors.first?.shape ?? []); the base has \(tensors.first.flatMap { base.tensors[$0.name]?.shape } ?? []). "
                + "Merge models of one architecture and size, or write \"mismatched_shapes: base\" to keep the base's."
        }.forEach { report($0) }
    }

    private mutating func reportTypes(_ tensors: [TensorInventory]) {
        sentences(about: tensors) {
            "tensor \"\($0.name)\" of task \"\(task)\" is \($0.elementType); the base has "
                + "\(base.tensors[$0.name]?.elementType ?? ""), and quantised tensors cannot be merged."
        } all: {
            "tensors of task \"\(task)\" are quantised where the base's are not, or the reverse, and cannot be merged: "
                + "\($0). The first is \(tensors.first?.elementType ?? ""); the base has "
                + "\(tensors.first.flatMap { base.tensors[$0.name]?.elementType } ?? ""). Use the model before its "
                + "quantisation."
        }.forEach { report($0) }
    }

    /// The row counts of an embedding or head with another vocabulary: only the first extent differs, and it is large.
    private static func resizedRows(
        _ found: TensorInventory, _ expected: TensorInventory
    ) -> (found: Int, expected: Int)? {
        guard found.isEmbedding || found.isHead, let rows = found.shape.first, let others = expected.shape.first,
            rows != others, found.shape.dropFirst() == expected.shape.dropFirst()
        else { return nil }
        return (rows, others)
    }

    private mutating func explainVocabulary(_ resized: [(name: String, found: Int, expected: Int)]) {
        let sizes = Dictionary(grouping: resized) { [$0.found, $0.expected] }
        for (_, tensors) in sizes.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            let (found, expected) = (tensors[0].found, tensors[0].expected)
            report(
                "\(tensors.map(\.name).quotedList) of task \"\(task)\" \(tensors.count == 1 ? "has" : "have") \(found) "
                    + "rows; the base has \(expected): the vocabulary was resized, or the head has other classes. Give both "
                    + "the same (model.resize_token_embeddings(\(expected)), if the further tokens are not used), or write "
                    // Slices were asked for, and another problem says why these rows have none.
                    + (mismatched == .slice
                        ? "" : "\"mismatched_shapes: slice\" to merge the rows of the tokens that all models have, or ")
                    + "\"mismatched_shapes: base\" to keep the base's.")
        }
    }
}

extension TensorInventory {
    /// Whether the name is that of a token embedding.
    public var isEmbedding: Bool {
        let name = name.lowercased()
        return name.contains("embed") || name.contains("wte") || name.hasPrefix("shared.")
    }

    /// Whether the name is that of an output head.
    var isHead: Bool {
        let name = name.lowercased()
        return ["head", "classifier", "score", "output", "decoder", "embed_out", "logits", "fc"].contains {
            name.contains($0)
        }
    }
}
