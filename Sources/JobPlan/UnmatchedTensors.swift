public import Identifiers

extension JobInventory {
    /// A model's tensors whose names no tensor of the base has, so that no merge takes them.
    ///
    /// - Parameter task: The model's task.
    /// - Returns: The names as the model's files have them, sorted.
    public func unmatchedTensors(of task: TaskName) -> [String] {
        let names = checkpoints[task]?.tensors.keys.filter { base.tensors[$0] == nil } ?? []
        return names.map { renamings[task]?.origin(of: $0, .tensor) ?? $0 }.sorted()
    }
}
