import Identifiers
public import RandomNumbers
public import TaskArithmetic

/// The values of mergekit's parameters for each tensor; a model's own values take precedence over the job's.
///
/// A weight that the base stores under two names has the values of the first, so that it stays one weight.
///
/// Source: mergekit's value grammar.
public struct MergeSettings: Sendable {
    private let spec: JobSpec
    private let base: CheckpointInventory
    /// The tensors' places, known only if a value depends on them.
    private let depths: TensorDepths?

    /// Prepares the evaluation for a base's tensors.
    public init(spec: JobSpec, base: CheckpointInventory) {
        self.spec = spec
        self.base = base
        depths = spec.dependsOnPlace ? TensorDepths(base: base, slices: spec.slices) : nil
    }

    /// w_t of a tensor: the model's value, else the job's, else 1.
    public func weight(of task: TaskSpec, tensor: String) -> Double {
        value(task.parameters[.weight], tensor) ?? value(spec.parameters[.weight], tensor) ?? 1
    }

    /// w_0 of a tensor, the base's own weight in an average; `nil` when the base does not count.
    ///
    /// The method says whether the base counts: never, or if it is listed. As in mergekit, an unlisted base also counts
    /// under some methods, if the job's parameters give every model a weight. Slices must list it. An origin has the
    /// weight 0.
    public func baseWeight(tensor: String) -> Double? {
        guard spec.method.base != .never else { return nil }
        if spec.isBaseOrigin { return 0 }
        if let listed = spec.listedBase { return weight(of: listed, tensor: tensor) }
        guard spec.method.base == .always || spec.slices.isEmpty else { return nil }
        return switch spec.method.base {
        case .never, .whenListed, .origin: nil
        case .whenListedOrWeighted: value(spec.parameters[.weight], tensor)
        case .always, .whenGiven: value(spec.parameters[.weight], tensor) ?? 1
        }
    }

    /// α of a tensor, mergekit's `lambda`; 1 by default, and always 1 under a method that has none.
    public func scale(tensor: String) -> Double {
        value(spec.parameters[.lambda], tensor) ?? 1
    }

    /// Whether a tensor's weights should be divided by their sum: by `normalize`, else by the method.
    public func averages(tensor: String) -> Bool {
        value(spec.parameters[MergeParameter.normalizeName], tensor).map { $0 != 0 } ?? spec.method.averages
    }

    /// Whether a tensor's weights are divided by their sum.
    ///
    /// Some methods do not divide if the weights cancel.
    public func divides(tensor: String) -> Bool {
        guard averages(tensor: tensor) else { return false }
        // mergekit's threshold.
        return spec.method.cancellingWeights == .refused || abs(weightSum(tensor: tensor)) >= 1e-8
    }

    /// Σ w_t over the merged tasks, and over the base if it counts; with shares Σ λ_t w_t.
    ///
    /// - Parameters:
    ///   - tensor: The tensor.
    ///   - shares: λ_t; without them every share is 1.
    ///   - isPresent: Whether a task takes part.
    /// - Returns: The sum over the tasks that take part.
    func weightSum(
        tensor: String, shares: TaskShares? = nil, among isPresent: (TaskSpec) -> Bool = { _ in true }
    ) -> Double {
        let weighted = spec.mergedTasks.filter(isPresent)
            .map { (name: $0.name, weight: weight(of: $0, tensor: tensor)) }.filter { $0.weight != 0 }
        let participants = weighted.map(\.name)
        return weighted.reduce(baseWeight(tensor: tensor) ?? 0) {
            $0 + (shares?.share(of: $1.name, among: participants) ?? 1) * $1.weight
        }
    }

    /// The rule for a tensor that is merged element by element.
    public func elementwiseRule(tensor: String) -> ElementwiseRule {
        guard spec.method.scope.elementwise.isWeightedSum else { return .ofMethod }
        if spec.method.needsFactors || divides(tensor: tensor) { return .weightedMean }
        return spec.method.terms == .models ? .weightedSum : .taskArithmetic
    }

    /// Whether a matrix is merged as one, and not like vectors.
    func mergesAsMatrix(tensor: String) -> Bool { arguments(tensor: tensor)[.asMatrix] != .truth(false) }

    /// The job's values of the parameters that only the method's computation knows.
    public func arguments(tensor: String) -> MergeArguments {
        arguments(spec.method.ownParameters.filter { !$0.isOfModel }, of: nil, tensor)
    }

    /// A model's values of the parameters that only the method's computation knows.
    ///
    /// The model's own values take precedence over the job's.
    ///
    /// - Parameters:
    ///   - task: The model's entry; `nil` for a base that is not listed, which has the job's values.
    ///   - tensor: The tensor.
    /// - Returns: The given values; a parameter without a value has its default.
    public func arguments(of task: TaskSpec?, tensor: String) -> MergeArguments {
        arguments(spec.method.ownParameters.filter(\.isOfModel), of: task, tensor)
    }

    /// A model's random numbers for a tensor, under a method that draws any.
    ///
    /// The key has the names in the job and in the base, so another model or another order changes no number. A part
    /// of a tensor that is merged alone, such as one expert, has numbers of its own.
    public func randomStream(of task: TaskSpec, tensor: String, part: String) -> RandomStream? {
        guard spec.method.isRandom, case .count(let seed)? = arguments(tensor: tensor)[.randomSeed] else { return nil }
        let named = part == tensor ? base.weightName(of: tensor) : part
        return RandomStream(seed: UInt64(seed), task: task.name.rawValue, tensor: named)
    }

    private func arguments(_ parameters: [MergeParameter], of task: TaskSpec?, _ tensor: String) -> MergeArguments {
        var values: [String: MergeValue] = [:]
        for parameter in parameters {
            let levels = [task?.parameters[parameter], parameter.isOfJob ? spec.parameters[parameter] : nil]
            values[parameter.name] = levels.lazy.compactMap { value(of: parameter, $0, tensor) }.first
        }
        return MergeArguments(values)
    }

    private func value(of parameter: MergeParameter, _ setting: ParameterSetting?, _ tensor: String) -> MergeValue? {
        if case .word(let word)? = setting { return .word(word) }
        guard let number = value(setting, tensor) else { return nil }
        return switch parameter.kind {
        case .number: .number(number)
        case .truth: .truth(number != 0)
        case .count: Int(exactly: number).map { .count($0) }
        case .word: nil
        }
    }

    /// The tensors outside the blocks that take a gradient's last value, and those with an unknown place.
    var placesOutsideBlocks: (behind: [String], unknown: [String]) {
        guard let depths else { return ([], []) }
        let names = base.tensors.keys.filter {
            base.tensors[$0]?.floatingType != nil && base.weightName(of: $0) == $0
        }.sorted()
        return (
            names.filter { depths.place(of: $0) == .behind }, names.filter { depths.place(of: $0) == .unknown }
        )
    }

    private func value(_ setting: ParameterSetting?, _ tensor: String) -> Double? {
        guard let setting else { return nil }
        if case .scalar(let value) = setting { return value }
        let tensor = base.weightName(of: tensor)
        guard let place = depths?[tensor] else { return setting.value(tensor: tensor, depth: 0) }
        return setting.value(tensor: tensor, depth: place.depth, slice: place.slice)
    }
}
