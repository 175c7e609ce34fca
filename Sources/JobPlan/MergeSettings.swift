import Identifiers
import TaskArithmetic

/// The values of mergekit's parameters for each tensor: a model's own precede the job's.
///
/// Source: mergekit's value grammar.
public struct MergeSettings: Sendable {
    private let spec: JobSpec
    private let depth: NetworkDepth

    /// Prepares the evaluation for the tensors of a base.
    public init(spec: JobSpec, base: CheckpointInventory) {
        self.spec = spec
        depth = NetworkDepth(tensors: base.tensors.keys)
    }

    /// w_t of a tensor: the model's own, else the job's, else 1.
    public func weight(of task: TaskSpec, tensor: String) -> Double {
        let place = depth.depth(of: tensor)
        return task.parameters.weight?.value(tensor: tensor, depth: place)
            ?? spec.parameters.weight?.value(tensor: tensor, depth: place) ?? 1
    }

    /// α of a tensor, mergekit's `lambda`; 1 unless given.
    public func scale(tensor: String) -> Double {
        spec.parameters.lambda?.value(tensor: tensor, depth: depth.depth(of: tensor)) ?? 1
    }
}

extension JobSpec {
    /// Whether weights are divided by their sum: as `normalize` says, else as the method does.
    public var averages: Bool { parameters.normalize ?? (method == .weightedAverage) }
}
