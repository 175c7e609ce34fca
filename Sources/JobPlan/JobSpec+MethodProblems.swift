import Identifiers
import TaskArithmetic

extension JobSpec {
    /// The problems of a job that lacks what its merge method needs by its registry entry.
    func methodProblems(_ inventory: JobInventory) -> [JobProblem] {
        guard outputs.contains(.merged), mergesAnything else { return [] }
        return modelCountProblems + missingParameterProblems(inventory) + valueProblems(inventory)
    }

    /// Too many or too few models.
    private var modelCountProblems: [JobProblem] {
        let counts = method.modelCount
        let isListedCounted = listedBase != nil && method.base != .never && !isBaseOrigin
        let isGivenCounted = method.base == .whenGiven && slices.isEmpty
        let isBaseCounted = method.base == .always || isGivenCounted || isListedCounted
        let found = mergedTasks.count + (isBaseCounted ? 1 : 0)
        guard !counts.contains(found) else { return [] }
        let expected =
            switch (counts.lowerBound, counts.upperBound) {
            case (let least, .max): "at least \(least)"
            case (let least, let most): least == most ? "\(least)" : "\(least) to \(most)"
            }
        return [
            JobProblem(
                at: fileName,
                "the merge method \"\(method.name)\" merges \(expected) models; the job has \(found). List as many, or "
                    + "use another method.")
        ]
    }

    /// The names of the tensors that are merged; what holds for others has no effect.
    private func mergedTensors(_ inventory: JobInventory) -> [String] {
        let copied = CopiedTensors(spec: self, base: inventory.base)
        return inventory.base.tensors.keys.filter { copied.reason(of: $0) == nil }.sorted()
    }

    /// Values that do not fit each other, by the method's own rule.
    private func valueProblems(_ inventory: JobInventory) -> [JobProblem] {
        let settings = MergeSettings(spec: self, base: inventory.base)
        let tensors = mergedTensors(inventory)
        let requests = tensors.map { tensor in
            let models = mergedTasks.enumerated().map { position, task in
                MergeRequest.Model(
                    name: task.name.rawValue.excerpt, place: position + 1,
                    weight: settings.weight(of: task, tensor: tensor),
                    arguments: settings.arguments(of: task, tensor: tensor))
            }
            return MergeRequest(
                tensor: tensor.excerpt, models: models.filter { $0.weight != 0 },
                divides: settings.divides(tensor: tensor),
                arguments: settings.arguments(tensor: tensor))
        }
        guard let fault = method.fault(requests) else { return [] }
        return [JobProblem(at: fileName, "the merge method \"\(method.name)\" \(fault)")]
    }

    /// The parameters without a default that are missing for a tensor.
    private func missingParameterProblems(_ inventory: JobInventory) -> [JobProblem] {
        let required = method.parameters.filter { $0.defaultValue == .required }
        guard !required.isEmpty else { return [] }
        let settings = MergeSettings(spec: self, base: inventory.base)
        let tensors = mergedTensors(inventory)
        let merged = mergedTasks
        return required.compactMap { parameter in
            let lacking = tensors.first { tensor in
                guard parameter.isOfModel else { return settings.arguments(tensor: tensor)[parameter] == nil }
                return merged.contains { settings.arguments(of: $0, tensor: tensor)[parameter] == nil }
            }
            return lacking.map { tensor in
                JobProblem(
                    at: fileName,
                    "the merge method \"\(method.name)\" needs the parameter \"\(parameter.name)\", which tensor "
                        + "\"\(tensor.excerpt)\" does not get; expected \(parameter.expectation). Write it under "
                        + "\"parameters\".")
            }
        }
    }
}
