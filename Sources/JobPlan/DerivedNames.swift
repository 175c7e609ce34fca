import Identifiers

/// The names of tasks that state none: the last part of the model's path, with so many parts before it as tell apart
/// the paths that end alike.
///
/// Fine-tuned models often lie in `run-1/final` and `run-2/final`.
struct DerivedNames {
    private var byPath: [String: TaskName] = [:]

    /// Names the tasks of a job.
    ///
    /// - Parameters:
    ///   - tasks: Each with whether it states its name.
    ///   - base: The path of the base, which is no task.
    init(_ tasks: [(task: TaskSpec, isStated: Bool)], base: String?) {
        let others = tasks.filter { $0.task.model?.value != base }
        let groups = Dictionary(grouping: others, by: \.task.name)
        for (_, group) in groups where group.count > 1 && group.allSatisfy({ !$0.isStated }) {
            let paths = Set(group.compactMap { $0.task.model?.value })
            let taken = Set(others.lazy.map(\.task.name).filter { name in !group.contains { $0.task.name == name } })
            guard paths.count == group.count, let names = Self.distinct(paths, from: taken) else { continue }
            byPath.merge(names) { $1 }
        }
    }

    /// The task's own name, or the longer one of its path.
    subscript(task: TaskSpec) -> TaskName { task.model.flatMap { byPath[$0.value] } ?? task.name }

    /// The shortest ends of the paths that are all distinct, and no other task's name; `nil` if none are.
    private static func distinct(_ paths: Set<String>, from taken: Set<TaskName>) -> [String: TaskName]? {
        let parts = Dictionary(
            uniqueKeysWithValues: paths.map { path in
                (path, path.split(separator: "/").map(String.init).filter { $0 != "." && $0 != ".." })
            })
        let longest = parts.values.map(\.count).max() ?? 0
        guard longest > 1 else { return nil }
        for length in 2...longest {
            let names = parts.mapValues { parts in
                let name = String(parts.suffix(length).joined(separator: "-").drop { $0 == "." })
                return name.hasSuffix(".safetensors") ? String(name.dropLast(12)) : name
            }.mapValues(TaskName.init(rawValue:))
            guard Set(names.values).count == paths.count, taken.isDisjoint(with: names.values) else { continue }
            return names.values.allSatisfy({ $0.rawValue.utf8.count <= 200 }) ? names : nil
        }
        return nil
    }
}
