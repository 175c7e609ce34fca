import Identifiers
import LinearAlgebra
import NameMatching
import TaskArithmetic
import Yams

/// The keys of a job file, from top to bottom.
extension JobFileReader {
    private static let jobKeys = [
        "merge_method", "base_model", "models", "parameters", "dtype", "out_dtype", "tokenizer_source", "kfac",
        "ignore", "allow_config_differences", "allow_unchanged", "non_finite", "split_fused",
        "mismatched_shapes", "checkpoint", "outputs", "output",
    ]

    private static let unsupportedJobKeys = [
        "slices": "List whole checkpoints under \"models\"; merges that change the number of layers are not offered.",
        "modules": "List whole checkpoints under \"models\".",
        "chat_template": "Edit the tokenizer's files in the merged directory instead.",
        "tokenizer": "The base's tokenizer is copied; merging vocabularies is not offered.",
    ]

    /// mergekit's keys that may be null; null means absent.
    private static let nullableJobKeys: Set<String> = [
        "base_model", "parameters", "dtype", "out_dtype", "tokenizer_source",
    ]

    /// Reads the whole file; `nil` when a required part is missing.
    mutating func readJob(_ root: Node) -> JobSpec? {
        let entries = entries(
            root, of: "the job", keys: Self.jobKeys, unsupported: Self.unsupportedJobKeys,
            nullable: Self.nullableJobKeys)
        let method = required("merge_method", in: entries, root) {
            $0.word($1, "merge_method", among: MergeMethod.all.map(\.name), MergeMethod.init(named:))
        }
        let base = readBase(entries, root, method)
        let output =
            output.map { Located($0, at: "--output") }
            ?? required("output", in: entries, root) { $0.text($1, "output") }
        let models = required("models", in: entries, root) { $0.readModels($1, base: base?.value, method) }
        let tasks = models?.tasks ?? []
        checkTokenizerSource(entries["tokenizer_source"], base: base?.value)
        let curvature = entries["kfac"].map { readCurvature($0) } ?? CurvatureSpec()
        let outputs = entries["outputs"].map { readOutputs($0) }
        let parameters = entries["parameters"].map { readParameters($0, method, isGlobal: true) } ?? [:]
        let outputType = readElementType(entries["dtype"], "dtype")
        let finalType = readElementType(entries["out_dtype"], "out_dtype") ?? outputType
        let nonFinite = entries["non_finite"].flatMap { word($0, "non_finite", as: NonFiniteValues.self) }
        let splitsFused = entries["split_fused"].flatMap { truth($0, "split_fused") }
        let mismatched = entries["mismatched_shapes"].flatMap {
            word($0, "mismatched_shapes", as: MismatchedShapes.self)
        }
        guard let base = base ?? models?.first, let output else { return nil }
        return JobSpec(
            // An unreadable method is already a problem; the files can be checked without it.
            method: method ?? MergeMethod.all[0], baseModel: base, tasks: tasks, listedBase: models?.base,
            parameters: parameters, outputType: finalType, nonFinite: nonFinite ?? .refuse,
            curvature: curvature,
            outputs: outputs
                ?? defaultOutputs(
                    models?.entries ?? [],
                    asksForRegularizer: ["regularizer", "groups"].contains { entries["kfac"]?.mapping?[$0] != nil }),
            output: output, fileName: fileName, ignored: entries["ignore"].map { texts($0, "ignore") } ?? [],
            allowedDifferences: readAllowedDifferences(entries["allow_config_differences"]),
            checkpoint: readCheckpoint(entries["checkpoint"]),
            allowedUnchanged: readAllowedUnchanged(entries["allow_unchanged"], among: models?.entries ?? []),
            splitsFused: splitsFused ?? false, mismatchedShapes: mismatched ?? .refuse, notices: notices)
    }

    /// `true` for all differences, or the keys whose differences are allowed.
    private mutating func readAllowedDifferences(_ node: Node?) -> AllowedDifferences {
        guard let node else { return .none }
        if case .scalar(let scalar) = node, let isAllowed = YAMLScalar(scalar).truth {
            return isAllowed ? .all : .none
        }
        let key = "allow_config_differences"
        let known = ModelConfiguration.meaningKeys.sorted()
        let keys = texts(node, key)
        for written in keys {
            guard let last = written.value.split(separator: ".").last, !known.contains(String(last)) else { continue }
            report(
                at: written.location,
                "\"\(key)\" names \"\(written.value.excerpt)\", which is not compared; expected true, or keys of "
                    + "config.json that are.\(suggestion(for: String(last), among: known))")
        }
        return .keys(keys.map(\.value))
    }

    /// The base.
    ///
    /// A job without a base takes the first model's layout, if its method needs no base and there is no curvature.
    private mutating func readBase(
        _ entries: [String: Node], _ root: Node, _ method: MergeMethod?
    ) -> Located<String>? {
        if entries["base_model"] == nil, let method, !method.needsBase, case .sequence(let models)? = entries["models"]
        {
            let curved = models.first { $0.mapping?["captures"] != nil || $0.mapping?["factors"] != nil }
            if curved == nil, entries["kfac"] == nil { return nil }
        }
        return required("base_model", in: entries, root) { $0.text($1, "base_model") }
    }

    private mutating func required<Value>(
        _ key: String, in entries: [String: Node], _ root: Node,
        read: (inout JobFileReader, Node) -> Value?
    ) -> Value? {
        guard let node = entries[key] else {
            report(root, "the key \"\(key)\" is missing.")
            return nil
        }
        return read(&self, node)
    }

    /// The entries of "models".
    private struct Models {
        var tasks: [TaskSpec] = []
        /// The base's own entry: its path is that of the base, or the job has no other base.
        var base: TaskSpec?
        /// The path of the first entry.
        var first: Located<String>?

        var entries: [TaskSpec] { tasks + (base.map { [$0] } ?? []) }
    }

    /// Reads the models.
    ///
    /// Without a base, the first model is the base in that its layout is kept.
    private mutating func readModels(_ node: Node, base: String?, _ method: MergeMethod?) -> Models? {
        guard case .sequence(let items) = node, !items.isEmpty else {
            report(node, "\"models\" must be a list of at least one model entry.")
            return nil
        }
        guard items.count <= JobFileLimits.tasks else {
            report(node, "\"models\" has \(items.count) entries; at most \(JobFileLimits.tasks) are allowed.")
            return nil
        }
        var models = Models()
        for item in items {
            guard let task = readTask(item, method) else { continue }
            models.first = models.first ?? task.model
            let isBase = task.model != nil && task.model?.value == (base ?? models.first?.value)
            if isBase, !task.hasCurvature, models.base == nil {
                models.base = task
                continue
            }
            if let earlier = models.tasks.first(where: { $0.name == task.name }) {
                report(
                    item,
                    "two tasks are named \"\(task.name)\"; the other stands at \(earlier.location). "
                        + "Give one of them another \"name\".")
            }
            models.tasks.append(task)
        }
        return models
    }

    private mutating func readTask(_ node: Node, _ method: MergeMethod?) -> TaskSpec? {
        let keys = ["model", "name", "captures", "factors", "rename", "curvature_weight", "parameters"]
        let entries = entries(node, of: "a model entry", keys: keys, nullable: ["parameters"])
        let model = entries["model"].flatMap { text($0, "model") }
        guard let name = readTaskName(entries["name"], model: model, entry: node) else { return nil }
        let task = TaskSpec(
            name: name, location: location(of: node), model: model,
            captures: entries["captures"].map { texts($0, "captures") } ?? [],
            factors: entries["factors"].map { texts($0, "factors") } ?? [],
            renames: entries["rename"].map { readRename($0) } ?? [],
            curvatureWeight: entries["curvature_weight"].flatMap { number($0, "curvature_weight") },
            parameters: entries["parameters"].map { readParameters($0, method, isGlobal: false) } ?? [:])
        if !task.captures.isEmpty, !task.factors.isEmpty {
            report(node, "task \"\(name)\" has both \"captures\" and \"factors\". Keep one of them.")
        }
        if task.model == nil, !task.hasCurvature, entries["captures"] == nil, entries["factors"] == nil {
            report(
                node, "task \"\(name)\" has no \"model\", no \"captures\" and no \"factors\"; expected at least one.")
        }
        if let weight = task.curvatureWeight, weight <= 0 {
            report(node, "\"curvature_weight\" of task \"\(name)\" is \(weight); expected a number above 0.")
        }
        return task
    }

    private mutating func readTaskName(_ node: Node?, model: Located<String>?, entry: Node) -> TaskName? {
        let name: String
        if let node {
            guard let written = text(node, "name") else { return nil }
            name = written.value
        } else if let component = model?.value.split(separator: "/").last {
            name = component.hasSuffix(".safetensors") ? String(component.dropLast(12)) : String(component)
        } else {
            report(entry, "a model entry without \"model\" needs a \"name\".")
            return nil
        }
        let isForbidden = name.unicodeScalars.contains { $0 == "/" || $0 == "\\" || $0.value < 32 || $0.value == 127 }
        guard !isForbidden, !name.hasPrefix("."), !name.isEmpty, name.utf8.count <= 200 else {
            report(
                node ?? entry,
                "the task name \"\(name.excerpt)\" cannot name a directory; expected at most 200 bytes without a path "
                    + "separator or control character and without a leading dot.")
            return nil
        }
        return TaskName(rawValue: name)
    }

    private mutating func readElementType(_ node: Node?, _ key: String) -> ElementType? {
        guard let node, let word = text(node, key) else { return nil }
        // PyTorch's own name, which mergekit accepts too.
        let name = word.value.hasPrefix("torch.") ? String(word.value.dropFirst(6)) : word.value
        guard let type = ElementType(jobFileWord: name) else {
            let words = ElementType.jobFileWords
            report(
                node,
                "\"\(key)\" must be one of \(words.joined(separator: ", ")), not \"\(word.value.excerpt)\"."
                    + suggestion(for: word.value, among: words))
            return nil
        }
        return type
    }

    private mutating func checkTokenizerSource(_ node: Node?, base: String?) {
        guard let node, let source = text(node, "tokenizer_source"), source.value != "base", source.value != base
        else { return }
        report(node, "\"tokenizer_source\" can only be \"base\": the base's tokenizer is copied.")
    }

    private mutating func readOutputs(_ node: Node) -> Set<JobOutput> {
        guard case .sequence(let items) = node, !items.isEmpty else {
            report(node, "\"outputs\" must be a list of \(JobOutput.allCases.map(\.rawValue).joined(separator: ", ")).")
            return []
        }
        return Set(items.compactMap { word($0, "outputs", as: JobOutput.self) })
    }

    /// The default outputs: the merge if there is one, the regularizer if the file describes it, and always the report.
    private func defaultOutputs(_ tasks: [TaskSpec], asksForRegularizer: Bool) -> Set<JobOutput> {
        var outputs: Set<JobOutput> = [.report]
        if tasks.contains(where: { $0.model != nil }) { outputs.insert(.merged) }
        if asksForRegularizer { outputs.insert(.regularizer) }
        if outputs == [.report], tasks.contains(where: \.hasCurvature) { outputs.insert(.factors) }
        return outputs
    }
}
