import Identifiers
import LinearAlgebra
import NameMatching
import TaskArithmetic
import UnitOperations

/// The layers and parameters of a job that get factors, with their shapes from the base.
struct CurvatureSelection {
    /// The blocks, ordered by name.
    private(set) var blocks: [CurvatureBlock] = []
    /// The problems that were found.
    private(set) var problems: [JobProblem] = []

    private let spec: JobSpec
    private let inventory: JobInventory
    /// The job's patterns of layers; `nil` selects all layers.
    private let patterns: NamePatterns?

    /// Selects the blocks that any task's captures or factors hold and that match the job's patterns.
    init(spec: JobSpec, inventory: JobInventory) {
        self.spec = spec
        self.inventory = inventory
        patterns = spec.curvature.layers.map(NamePatterns.init)
        var layers: [String: TaskName] = [:]
        var parameters: [String: TaskName] = [:]
        for task in spec.tasks {
            for name in Self.layerNames(of: task.name, in: inventory) where layers[name] == nil {
                layers[name] = task.name
            }
            for name in Self.parameterNames(of: task.name, in: inventory) where parameters[name] == nil {
                parameters[name] = task.name
            }
        }
        checkPatterns(names: Array(layers.keys) + Array(parameters.keys))
        var reported = renamedLayers(layers)
        let unknown = layers.filter { isUnknown($0.key) && !reported.contains($0.key) }
        reported.formUnion(lostNames(unknown, .layer))
        let lost = lostNames(parameters.filter { inventory.base.tensors[$0.key] == nil }, .parameter)
        for (name, task) in layers.sorted(by: { $0.key < $1.key }) where isSelected(name) && !reported.contains(name) {
            if let block = linearBlock(name, heldBy: task) { blocks.append(block) }
        }
        for (name, task) in parameters.sorted(by: { $0.key < $1.key }) where isSelected(name) && !lost.contains(name) {
            if let block = fullBlock(name, heldBy: task) { blocks.append(block) }
        }
        blocks.sort { $0.name < $1.name }
        checkOverlaps()
    }

    /// Captured layers that the base has under other names, all changed in the same way.
    ///
    /// They are reported as one problem.
    private mutating func renamedLayers(_ layers: [String: TaskName]) -> Set<String> {
        let weights = inventory.base.tensors.keys.filter { $0.hasSuffix(".weight") }.map { String($0.dropLast(7)) }
        let unknown = layers.keys.filter { isSelected($0) && isUnknown($0) }
        guard let mapping = NameMapping(from: weights.filter { layers[$0] == nil }, to: unknown) else { return [] }
        let tasks = Set(mapping.names.values.compactMap { layers[$0]?.rawValue }).sorted()
        let kept = layers.keys.filter { !isUnknown($0) }
        problems.append(
            JobProblem(
                at: inventory.base.location,
                mapping.sentence(
                    of: unknown.count, "layers", of: "the curvature of \(tasks.quotedList)", and: "the base",
                    keeping: kept)))
        return Set(mapping.names.values)
    }

    /// Whether the base has no weight for a layer.
    private func isUnknown(_ layer: String) -> Bool { inventory.base.tensors["\(layer).weight"] == nil }

    /// The selected ones of the names that the base lacks that a task's `rename` gave.
    ///
    /// They are reported as one problem for each task; those of a task whose entries are wrong follow from that.
    private mutating func lostNames(_ names: [String: TaskName], _ kind: TaskRenaming.Kind) -> Set<String> {
        let lost = names.filter { name, task in
            guard let renaming = inventory.renamings[task], isSelected(name) else { return false }
            return !renaming.problems.isEmpty || renaming.origin(of: name, kind) != nil
        }
        for task in spec.tasks where inventory.renamings[task.name]?.problems.isEmpty ?? false {
            let names = lost.filter { $0.value == task.name }.map(\.key).sorted()
            if let problem = inventory.renamings[task.name]?.problem(ofNames: names, kind) { problems.append(problem) }
        }
        return Set(lost.keys)
    }

    /// A parameter in two blocks would be merged twice, and one result would be lost.
    private mutating func checkOverlaps() {
        var owners: [String: CurvatureBlock] = [:]
        for block in blocks {
            for parameter in block.parameters {
                guard let other = owners.updateValue(block, forKey: parameter) else { continue }
                problems.append(
                    JobProblem(
                        at: inventory.base.location,
                        "parameter \"\(parameter)\" has curvature twice, in \"\(other.name)\" and in "
                            + "\"\(block.name)\". Leave one of them out with \"layers\"."))
            }
        }
    }

    private func isSelected(_ name: String) -> Bool { patterns?.takes(name) ?? true }

    private mutating func checkPatterns(names: [String]) {
        guard let patterns, let first = spec.curvature.layers?.first else { return }
        let idle = patterns.problems(
            among: names, of: "layers", matching: "none of the \(names.count) captured layers and parameters")
        problems += idle
        guard idle.isEmpty, !names.isEmpty, !names.contains(where: isSelected) else { return }
        problems.append(
            JobProblem(
                at: first.location,
                "\"layers\" leaves out all \(names.count) captured layers and parameters; expected at least one. Narrow "
                    + "the patterns."))
    }

    /// A suggestion for a name; only the first of many wrong names get one.
    private func suggested(for name: String, among candidates: () -> [String]) -> String {
        problems.count < JobFileLimits.suggestions ? suggestion(for: name, among: candidates()) : ""
    }

    private mutating func linearBlock(_ name: String, heldBy task: TaskName) -> CurvatureBlock? {
        guard let weight = inventory.base.tensors["\(name).weight"] else {
            let meant = suggested(for: name) {
                inventory.base.tensors.keys.filter { $0.hasSuffix(".weight") }.map { String($0.dropLast(7)) }.sorted()
            }
            problems.append(
                JobProblem(
                    at: inventory.base.location,
                    "task \"\(task)\" has curvature for the layer \"\(name)\", but the base has no tensor "
                        + "\"\(name).weight\".\(meant)"))
            return nil
        }
        guard weight.shape.count == 2, weight.floatingType != nil else {
            problems.append(
                JobProblem(
                    at: inventory.base.location,
                    "tensor \"\(name).weight\" is \(weight.elementType) \(weight.shape); a layer with factors needs a "
                        + "floating-point matrix [d_out, d_in]."))
            return nil
        }
        let bias = inventory.base.tensors["\(name).bias"]
        if let bias, bias.shape != [weight.shape[0]] || bias.floatingType == nil {
            problems.append(
                JobProblem(
                    at: inventory.base.location,
                    "tensor \"\(name).bias\" is \(bias.elementType) \(bias.shape); the bias of \"\(name).weight\" "
                        + "\(weight.shape) must be a floating-point vector [\(weight.shape[0])]."))
            return nil
        }
        return CurvatureBlock(
            name: name, kind: .linear(outputs: weight.shape[0], inputs: weight.shape[1], hasBias: bias != nil))
    }

    private mutating func fullBlock(_ name: String, heldBy task: TaskName) -> CurvatureBlock? {
        guard let tensor = inventory.base.tensors[name] else {
            problems.append(
                JobProblem(
                    at: inventory.base.location,
                    "task \"\(task)\" has curvature for the parameter \"\(name)\", which the base does not hold."
                        + suggested(for: name) { inventory.base.tensors.keys.sorted() }))
            return nil
        }
        guard tensor.floatingType != nil else {
            problems.append(
                JobProblem(
                    at: inventory.base.location,
                    "parameter \"\(name)\" is \(tensor.elementType); a parameter with a full block must be "
                        + "floating-point."))
            return nil
        }
        return CurvatureBlock(name: name, kind: .full(dimension: tensor.elementCount))
    }

    private static func layerNames(of task: TaskName, in inventory: JobInventory) -> [String] {
        (inventory.captures[task]?.layers.keys.map(\.rawValue) ?? [])
            + (inventory.factorSets[task]?.factors.keys.filter { $0.side != .full }.map(\.owner) ?? [])
            + (inventory.partials[task]?.sums.keys.filter { $0.side != .full }.map(\.owner) ?? [])
    }

    private static func parameterNames(of task: TaskName, in inventory: JobInventory) -> [String] {
        (inventory.captures[task]?.parameters.keys.map(\.rawValue) ?? [])
            + (inventory.factorSets[task]?.factors.keys.filter { $0.side == .full }.map(\.owner) ?? [])
            + (inventory.partials[task]?.sums.keys.filter { $0.side == .full }.map(\.owner) ?? [])
    }
}
