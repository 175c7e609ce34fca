import Identifiers
import LinearAlgebra
import NameMatching
import TaskArithmetic
import Yams

/// The keys of a job file, from top to bottom.
extension JobFileReader {
    private static let jobKeys = [
        "merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype",
        "tokenizer_source", "tokenizer", "kfac", "ignore", "allow_config_differences", "allow_unchanged", "non_finite",
        "split_fused", "mismatched_shapes", "checkpoint", "outputs", "output",
    ]

    private static let unsupportedJobKeys = [
        "chat_template": "Edit the tokenizer's files in the merged directory instead."
    ]

    /// mergekit's keys that may be null; null means absent.
    private static let nullableJobKeys: Set<String> = [
        "base_model", "slices", "modules", "parameters", "dtype", "out_dtype", "tokenizer_source", "tokenizer",
    ]

    /// Reads the whole file; `nil` when a required part is missing.
    mutating func readJob(_ root: Node) -> JobSpec? {
        let entries = entries(
            root, of: "the job", keys: Self.jobKeys, unsupported: Self.unsupportedJobKeys,
            nullable: Self.nullableJobKeys)
        let method = required("merge_method", in: entries, root) {
            $0.word($1, "merge_method", among: MergeMethod.all.map(\.name), MergeMethod.init(named:))
        }
        let list = readModelList(entries, root)
        let base = readBase(entries, root, method, list)
        let output =
            output.map { Located($0, at: "--output") }
            ?? required("output", in: entries, root) { $0.text($1, "output") }
        let models = list.flatMap { list in
            list.hasSlices
                ? readSlices(list.node, base: base?.value, method) : readModels(list.node, base: base?.value, method)
        }
        let tasks = models?.tasks ?? []
        let tokenizer = readTokenizer(
            entries, base: (base ?? models?.first)?.value, models: tasks.compactMap { $0.model?.value })
        let curvature = entries["kfac"].map { readCurvature($0) } ?? CurvatureSpec()
        let outputs = entries["outputs"].map { readOutputs($0) }
        let parameters = readJobParameters(entries["parameters"], in: list, models?.slices ?? [], method)
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
            parameters: parameters, slices: layerSlices(of: models?.slices ?? []), outputType: finalType,
            nonFinite: nonFinite ?? .refuse,
            curvature: curvature,
            outputs: outputs
                ?? defaultOutputs(
                    models?.entries ?? [],
                    asksForRegularizer: ["regularizer", "groups"].contains { entries["kfac"]?.mapping?[$0] != nil }),
            output: output, fileName: fileName, ignored: entries["ignore"].map { texts($0, "ignore") } ?? [],
            allowedDifferences: readAllowedDifferences(entries["allow_config_differences"]),
            checkpoint: readCheckpoint(entries["checkpoint"]),
            allowedUnchanged: readAllowedUnchanged(entries["allow_unchanged"], among: models?.entries ?? []),
            splitsFused: splitsFused ?? false, mismatchedShapes: mismatched ?? .refuse, tokenizer: tokenizer,
            notices: notices)
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
        _ entries: [String: Node], _ root: Node, _ method: MergeMethod?, _ list: ModelList?
    ) -> Located<String>? {
        if entries["base_model"] == nil, let method, !method.needsBase, let models = list?.firstEntries, !models.isEmpty
        {
            let curved = models.first { $0.mapping?["captures"] != nil || $0.mapping?["factors"] != nil }
            if curved == nil { return nil }
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
