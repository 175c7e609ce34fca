public import Identifiers
import NameMatching
import Yams

/// The models that may hold the base's values in every tensor that is merged.
public enum AllowedUnchanged: Equatable, Sendable {
    /// None.
    case none
    /// All.
    case all
    /// Those of some tasks.
    case named([TaskName])

    /// Whether the model of a task may equal the base.
    public func contains(_ task: TaskName) -> Bool {
        switch self {
        case .none: false
        case .all: true
        case .named(let names): names.contains(task)
        }
    }
}

extension JobFileReader {
    /// `true` for all models, or the names of the tasks whose models may equal the base.
    mutating func readAllowedUnchanged(_ node: Node?, among tasks: [TaskSpec]) -> AllowedUnchanged {
        guard let node else { return .none }
        if case .scalar(let scalar) = node, let isAllowed = YAMLScalar(scalar).truth {
            return isAllowed ? .all : .none
        }
        let key = "allow_unchanged"
        let known = tasks.map(\.name.rawValue)
        var names: [TaskName] = []
        for written in texts(node, key) {
            if let task = tasks.first(where: { $0.name.rawValue == written.value }) {
                names.append(task.name)
            } else {
                report(
                    at: written.location,
                    "\"\(key)\" names \"\(written.value.excerpt)\", but no model has that name; expected true, or names "
                        + "of models.\(suggestion(for: written.value, among: known))")
            }
        }
        return .named(names)
    }
}
