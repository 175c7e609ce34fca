import Identifiers
import TaskArithmetic
import Yams

/// The models of a job, in one of mergekit's three ways: as models, as slices of their layers, or in a module.
extension JobFileReader {
    /// The keys of a model's entry.
    static let modelKeys = ["model", "name", "captures", "factors", "rename", "curvature_weight", "parameters"]

    /// The models of a job.
    struct Models {
        var tasks: [TaskSpec] = []
        /// The base's own entry: its path is that of the base, or the job has no other base.
        var base: TaskSpec?
        /// The path of the first entry.
        var first: Located<String>?
        /// The slices of the layers; empty where whole models are listed.
        var slices: [WrittenSlice] = []

        var entries: [TaskSpec] { tasks + (base.map { [$0] } ?? []) }
    }

    /// A list of models or of slices.
    struct ModelList {
        var node: Node
        var hasSlices: Bool
        /// The parameters of the module in which the list stands.
        var moduleParameters: Node?

        /// The entries of models; of slices those of the first one.
        var firstEntries: [Node] {
            let items = node.sequence.map(Array.init) ?? []
            guard hasSlices else { return items }
            return items.first?.mapping?["sources"]?.sequence.map(Array.init) ?? []
        }
    }

    private static let listKeys = ["models", "slices", "modules"]

    /// The list that a job has under one of the three keys.
    mutating func readModelList(_ entries: [String: Node], _ root: Node) -> ModelList? {
        // mergekit treats an empty list as absent.
        let given = Self.listKeys.filter { key in
            entries[key].map { node in !(node.sequence?.isEmpty ?? node.mapping?.isEmpty ?? false) } ?? false
        }
        if given.count > 1, let second = entries[given[1]] {
            report(
                second,
                "\"\(given[1])\" stands beside \"\(given[0])\"; expected one of \"models\", \"slices\" and \"modules\". "
                    + "Remove the others.")
        }
        guard let key = given.first ?? (entries["models"] == nil ? nil : "models"), let node = entries[key] else {
            report(root, "the key \"models\" is missing.")
            return nil
        }
        return key == "modules" ? readModules(node) : ModelList(node: node, hasSlices: key == "slices")
    }

    /// Reads mergekit's `modules`, of which a model without parts has one.
    private mutating func readModules(_ node: Node) -> ModelList? {
        guard case .mapping(let modules) = node else {
            report(node, "\"modules\" must be a mapping of the name \"default\" to lists of models.")
            return nil
        }
        // mergekit names the parts of an architecture, and its only part "default".
        let parts = modules.filter { $0.key.scalar?.string != "default" }
        for part in parts {
            report(
                part.key,
                "\"modules\" names \"\((part.key.scalar?.string ?? "").excerpt)\", a part of a model; expected only "
                    + "\"default\", a model without parts. List whole models under \"models\".")
        }
        guard parts.isEmpty, let module = modules.first?.value else { return nil }
        let entries = entries(
            module, of: "a module", keys: ["models", "slices", "parameters"],
            nullable: ["models", "slices", "parameters"])
        let lists = ["models", "slices"].filter { entries[$0] != nil }
        guard lists.count == 1, let list = entries[lists[0]] else {
            report(module, "a module must have either \"models\" or \"slices\".")
            return nil
        }
        return ModelList(node: list, hasSlices: lists[0] == "slices", moduleParameters: entries["parameters"])
    }

    /// Reads whole models.
    mutating func readModels(_ node: Node, base: String?, _ method: MergeMethod?) -> Models? {
        guard case .sequence(let items) = node, !items.isEmpty else {
            report(node, "\"models\" must be a list of at least one model entry.")
            return nil
        }
        guard items.count <= JobFileLimits.tasks else {
            report(node, "\"models\" has \(items.count) entries; at most \(JobFileLimits.tasks) are allowed.")
            return nil
        }
        let tasks = items.compactMap { item -> (TaskSpec, Node)? in
            let entries = entries(item, of: "a model entry", keys: Self.modelKeys, nullable: ["parameters"])
            return readTask(entries, at: item, method).map { ($0, item) }
        }
        return models(of: tasks, base: base)
    }

    /// Tells the base's entry from the tasks, and refuses equal names.
    ///
    /// Without a base, the first model is the base in that its layout is kept.
    mutating func models(of tasks: [(task: TaskSpec, node: Node)], base: String?) -> Models {
        var models = Models()
        let names = DerivedNames(
            tasks.map { ($0.task, Self.hasOwnName($0.node)) }, base: base ?? tasks.first?.task.model?.value)
        for (var task, item) in tasks {
            task.name = names[task]
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

    private static func hasOwnName(_ node: Node) -> Bool { node.mapping?["name"] != nil }

    /// Reads the entries of a model, which stand at a node.
    mutating func readTask(_ entries: [String: Node], at node: Node, _ method: MergeMethod?) -> TaskSpec? {
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
}
