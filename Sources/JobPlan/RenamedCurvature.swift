import Identifiers

/// Captured layers and parameters that the base has under other names, all changed in the same way.
///
/// Each task is compared alone, because another task's names may be right. One cause is one problem: neither the single
/// names nor what the tasks lack because of them are reported again.
struct RenamedCurvature {
    /// One problem for each change, with all tasks that have it.
    private(set) var problems: [JobProblem] = []
    private var mappings: [TaskName: NameMapping] = [:]
    private var explained: Set<String> = []

    /// What a task holds.
    struct Names {
        let task: TaskName
        /// The selected layers that the base lacks.
        let layers: [String]
        /// The selected parameters that the base lacks.
        let parameters: [String]
        /// Layers and parameters that the base has too.
        let kept: [String]
        /// All names, also those that the job leaves out.
        let all: Set<String>
    }

    /// Names that need no explanation.
    init() {}

    /// Compares each task's names that the base lacks with the base's names that the task lacks.
    init(_ tasks: [Names], base: CheckpointInventory) {
        let lost = tasks.filter { $0.layers.count + $0.parameters.count > 1 }
        guard !lost.isEmpty else { return }
        let stored = Self.names(in: base)
        var changes: [(mapping: NameMapping, tasks: [Names])] = []
        // Most tasks hold the same names, which are compared once.
        var compared: [Set<String>: NameMapping?] = [:]
        for names in lost {
            let result = compared[names.all] ?? Self.mapping(of: names, stored)
            compared[names.all] = .some(result)
            guard let mapping = result else { continue }
            mappings[names.task] = mapping
            explained.formUnion(mapping.names.values)
            if let known = changes.firstIndex(where: { $0.mapping == mapping }) {
                changes[known].tasks.append(names)
            } else {
                changes.append((mapping, [names]))
            }
        }
        for (mapping, tasks) in changes {
            let (layers, parameters) = (tasks[0].layers, tasks[0].parameters)
            let kinds = [layers.isEmpty ? nil : "layers", parameters.isEmpty ? nil : "parameters"].compactMap { $0 }
            let owners = tasks.map(\.task.rawValue).quotedList
            let sentence = mapping.sentence(
                of: Set((layers + parameters).map(Self.module)).count, kinds.joined(separator: " and "),
                of: "the curvature of \(owners)", and: "the base", keeping: tasks[0].kept.map(Self.module),
                origin: .captured)
            problems.append(JobProblem(at: base.location, sentence))
        }
    }

    private static func mapping(of names: Names, _ stored: [String]) -> NameMapping? {
        let unknown = Set((names.layers + names.parameters).map(module))
        let held = Set(names.all.map(module))
        return NameMapping(from: stored.filter { !held.contains($0) }, to: unknown.sorted())
    }

    /// Whether the base has this captured layer or parameter under another name, so that it is reported already.
    func explains(_ name: String) -> Bool { explained.contains(Self.module(name)) }

    /// Whether a task has the block of this name of the base, but under another name.
    func hasRenamed(_ block: String, in task: TaskName) -> Bool {
        mappings[task]?.names[Self.module(block)] != nil
    }

    /// The names that layers and parameters of a base can have: a matrix is that of a layer, which has its bias too.
    private static func names(in base: CheckpointInventory) -> [String] {
        let matrices = base.tensors.values.filter { tensor in
            tensor.shape.count > 1 && (tensor.name.hasSuffix(".weight") || tensor.name.hasSuffix("_weight"))
        }.map(\.name)
        let layers = matrices.map { String($0.dropLast("_weight".count)) }
        let parts = Set(matrices + layers.flatMap { ["\($0).bias", "\($0)_bias"] })
        return layers + base.tensors.keys.filter { !parts.contains($0) }
    }

    /// A name without the address of a part, which no change touches.
    private static func module(_ name: String) -> String { LayerAddress(name)?.module ?? name }
}
