import Identifiers
import LinearAlgebra
import NameMatching
import TaskArithmetic
import UnitOperations

/// The layers and parameters of a job that get factors, with their shapes from the base.
struct CurvatureSelection {
    /// The blocks, ordered by name.
    private(set) var blocks: [CurvatureBlock] = []
    /// The selected layers and parameters that no row of any task reached, sorted.
    ///
    /// Files state them. They have no factors, and no block unless they have partial sums.
    private(set) var unreached: [String] = []
    /// The problems that were found.
    private(set) var problems: [JobProblem] = []
    /// Layers and parameters that cannot have factors.
    private var faults = SharedFaults()
    private var suggestionCount = 0
    /// Captured parts of fused tensors that the base stores as tensors of their own, with the holder and such a tensor.
    private var separate: [(layer: String, task: TaskName, tensor: String)] = []
    /// What tasks hold under other names than the base.
    private(set) var renamed = RenamedCurvature()

    private let spec: JobSpec
    private let inventory: JobInventory
    private let tensors: TensorNames
    private let declarations: WeightLayouts
    private let diagonals: DiagonalFactors
    private var undeclared = UndeclaredLayouts()
    private var contradictions: [(layer: String, found: WeightLayouts.Contradiction)] = []
    /// The declared layouts of the selected layers, by name.
    private(set) var layouts: [String: WeightLayout] = [:]
    /// The name of each layer's weight in its own module.
    private var weightNames: [String: String] = [:]
    /// The job's patterns of layers; `nil` selects all layers.
    private let patterns: NamePatterns?

    /// Selects the blocks that any task's captures or factors hold and that match the job's patterns.
    init(spec: JobSpec, inventory: JobInventory) {
        self.spec = spec
        self.inventory = inventory
        tensors = TensorNames(of: inventory.base, inventory.checkpoints.values)
        declarations = WeightLayouts(spec: spec, inventory: inventory)
        diagonals = DiagonalFactors(spec: spec, inventory: inventory)
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
        let unreached = Self.unreached(in: inventory, by: spec.tasks.map(\.name))
        checkPatterns(names: Array(layers.keys) + Array(parameters.keys), unreached: unreached)
        problems += declarations.problems(with: layers.keys) + diagonals.problems(with: layers.keys)
        var unknown = (
            layers: layers.filter { !isStored($0.key) },
            parameters: parameters.filter { StoredParameter($0.key, in: tensors) == nil }
        )
        let renamed = renamedCurvature(Set(unknown.layers.keys), Set(unknown.parameters.keys))
        self.renamed = renamed
        problems += renamed.problems
        unknown.layers = unknown.layers.filter { !renamed.explains($0.key) }
        unknown.parameters = unknown.parameters.filter { !renamed.explains($0.key) }
        let lost = lostNames(unknown.layers, .layer).union(lostNames(unknown.parameters, .parameter))
        func isReported(_ name: String) -> Bool { renamed.explains(name) || lost.contains(name) }
        for (name, task) in layers.sorted(by: { $0.key < $1.key }) where isSelected(name) && !isReported(name) {
            if let block = linearBlock(name, heldBy: task) { blocks.append(block) }
        }
        for (name, task) in parameters.sorted(by: { $0.key < $1.key }) where isSelected(name) && !isReported(name) {
            if let block = fullBlock(name, heldBy: task) { blocks.append(block) }
        }
        self.unreached = unreached.filter { isSelected($0) }
        problems += faults.problems
        reportSeparateParts()
        joinUses()
        reportLayouts()
        checkOverlaps()
    }

    /// The names that tasks state to have no rows and no task has rows of, sorted.
    private static func unreached(in inventory: JobInventory, by tasks: [TaskName]) -> [String] {
        var unreached: Set<String> = []
        for task in tasks { unreached.formUnion(inventory.emptyBlocks(of: task)) }
        for task in tasks where !unreached.isEmpty {
            let held = layerNames(of: task, in: inventory) + parameterNames(of: task, in: inventory)
            unreached.subtract(held.filter { !inventory.isEmpty($0, in: task) })
        }
        return unreached.sorted()
    }

    /// Those names that the base lacks because a task changed all of its names in the same way.
    private func renamedCurvature(_ layers: Set<String>, _ parameters: Set<String>) -> RenamedCurvature {
        guard layers.count + parameters.count > 1 else { return RenamedCurvature() }
        let tasks = spec.tasks.map { task in
            let all = (
                layers: Self.layerNames(of: task.name, in: inventory),
                parameters: Self.parameterNames(of: task.name, in: inventory)
            )
            return RenamedCurvature.Names(
                task: task.name, layers: all.layers.filter { layers.contains($0) && isSelected($0) },
                parameters: all.parameters.filter { parameters.contains($0) && isSelected($0) },
                kept: all.layers.filter { !layers.contains($0) } + all.parameters.filter { !parameters.contains($0) },
                all: Set(all.layers + all.parameters))
        }
        return RenamedCurvature(tasks, base: inventory.base)
    }

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

    /// Whether the base holds a weight of the layer, of whatever shape.
    private func isStored(_ layer: String) -> Bool {
        do throws(StoredLayer.Flaw) { return try StoredLayer(layer, in: tensors) != nil } catch { return true }
    }

    /// Makes one block of layers that are tied to each other.
    private mutating func joinUses() {
        let shared = SharedWeights(blocks, weightNames: weightNames)
        blocks = shared.blocks
        problems += shared.problems.map { JobProblem(at: inventory.base.location, $0.sentence) }
    }

    /// An element in two blocks would be merged twice, and one result would be lost.
    ///
    /// A block that overlaps several others is reported once, and so are blocks that overlap in weight and bias.
    private mutating func checkOverlaps() {
        var reported: Set<Set<String>> = []
        var faults = SharedFaults()
        var regions: [String: [(block: String, elements: ElementRuns)]] = [:]
        for block in blocks {
            for region in block.regions { regions[region.tensor, default: []].append((block.name, region.elements)) }
        }
        for (tensor, regions) in regions.sorted(by: { $0.key < $1.key }) where regions.count > 1 {
            var overlaps: [(owner: String, others: [String])] = []
            // The regions that begin before the next one and do not end before it, which columns of a matrix all do.
            var open: [(block: String, elements: ElementRuns)] = []
            for region in regions.sorted(by: { $0.elements.lowerBound < $1.elements.lowerBound }) {
                open.removeAll { $0.elements.upperBound <= region.elements.lowerBound }
                if let owner = open.first(where: { $0.elements.overlaps(region.elements) })?.block {
                    if overlaps.last?.owner == owner {
                        overlaps[overlaps.count - 1].others.append(region.block)
                    } else {
                        overlaps.append((owner, [region.block]))
                    }
                }
                open.append(region)
            }
            for (owner, others) in overlaps where reported.insert(Set(others + [owner])).inserted {
                faults.append(
                    "parameter \"\(tensor)\" has curvature twice, in \"\(owner)\" and in \(others.quotedList). Leave one "
                        + "of them out with \"layers\".",
                    about: tensor, of: "parameters", at: inventory.base.location)
            }
        }
        problems += faults.problems
    }

    /// Reports contradicting declarations, once for each pair of places, and layouts that nobody declared.
    private mutating func reportLayouts() {
        let pairs = Dictionary(grouping: contradictions) { [$0.found.first.location, $0.found.other.location] }
        for (_, found) in pairs.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            let contradiction = found[0].found
            problems.append(
                JobProblem(
                    at: contradiction.first.location, contradiction.sentence(about: found.map(\.layer))))
        }
        problems += undeclared.problems(in: inventory.base, declarations)
    }

    /// A tensor of the base that is an expert of its own: `experts.3.w1.weight` for `experts.gate_up_proj[3]`.
    private func separateTensor(for name: String) -> String? {
        guard let address = LayerAddress(name), let index = address.index else { return nil }
        let modules = address.module.split(separator: ".")
        guard modules.count > 1 else { return nil }
        let part = "\(modules[modules.count - 2]).\(index)."
        return inventory.base.tensors.keys.filter { $0.hasPrefix(part) || $0.contains(".\(part)") }.min()
    }

    /// Libraries fuse experts in memory that their checkpoints store one by one.
    private mutating func reportSeparateParts() {
        let tasks = Dictionary(grouping: separate, by: \.task)
        for (task, parts) in tasks.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            problems.append(
                JobProblem(
                    at: inventory.base.location,
                    "task \"\(task)\" has curvature for \(parts.map(\.layer).quotedList), which are parts of fused tensors; "
                        + "the base stores such parts one by one, as \"\(parts[0].tensor)\". Capture each by the base's "
                        + "names, or save the base and the models with fused tensors (in transformers: "
                        + "save_pretrained(save_original_format=False))."))
        }
    }

    private func isSelected(_ name: String) -> Bool { patterns?.takes(name) ?? true }

    /// A pattern may also match what no task reached, to leave it out.
    private mutating func checkPatterns(names: [String], unreached: [String]) {
        guard let patterns, let first = spec.curvature.layers?.first else { return }
        let idle = patterns.problems(
            among: names + unreached, of: "layers",
            matching: "none of the \(names.count) captured layers and parameters")
        problems += idle
        guard idle.isEmpty, !names.isEmpty, !names.contains(where: isSelected) else { return }
        problems.append(
            JobProblem(
                at: first.location,
                "\"layers\" leaves out all \(names.count) captured layers and parameters; expected at least one. Narrow "
                    + "the patterns."))
    }

    /// What to do about a name that the base lacks; only the first of many get a suggestion.
    private mutating func suggested(for name: String, among candidates: () -> [String]) -> String {
        suggestionCount += 1
        let meant = suggestionCount <= JobFileLimits.suggestions ? suggestion(for: name, among: candidates()) : ""
        guard meant.isEmpty else { return meant }
        return " Use the base that it was made on, \"rename\" it, or leave it out with \"layers\"."
    }

    /// Notes that a layer or parameter of the base cannot have factors.
    private mutating func note(_ sentence: String, _ name: String, of things: String, advice: String = "") {
        faults.append(sentence, about: name, of: things, at: inventory.base.location, advice: advice)
    }

    private mutating func linearBlock(_ name: String, heldBy task: TaskName) -> CurvatureBlock? {
        do throws(StoredLayer.Flaw) {
            if let layer = try StoredLayer(name, in: tensors) {
                if isCut(layer.weight, of: name, "layers") { return nil }
                weightNames[name] = layer.weightName
                return try block(of: layer, heldBy: task)?.with(diagonals.sides(of: name))
            }
        } catch {
            note(error.sentence, name, of: "layers")
            return nil
        }
        if let tensor = separateTensor(for: name) {
            separate.append((name, task, tensor))
            return nil
        }
        let module = LayerAddress(name)?.module ?? name
        let base = inventory.base
        let meant = suggested(for: module) {
            base.tensors.keys.filter { $0.hasSuffix(".weight") }.map { String($0.dropLast(7)) }.sorted()
        }
        note(
            "task \"\(task)\" has curvature for the layer \"\(name)\", but the base has no tensor \"\(module).weight\".",
            name, of: "layers of task \"\(task)\"", advice: meant)
        return nil
    }

    /// Whether only some rows of a tensor are merged, which its factors do not describe; that is a problem then.
    private mutating func isCut(_ tensor: TensorInventory, of name: String, _ things: String) -> Bool {
        guard let rows = tensor.shape.first, let left = inventory.base.tails[tensor.name]?.shape.first else {
            return false
        }
        note(
            "\"\(name)\" has curvature of all \(rows + left) rows of \"\(tensor.name)\", of which \"mismatched_shapes: "
                + "slice\" merges only the first \(rows).",
            name, of: things,
            advice: " Leave it out with \"layers\", or write \"mismatched_shapes: base\" to keep the base's tensor.")
        return true
    }

    /// A layer in its declared layout, or as `[d_out, d_in]`; `nil`, and a problem, if that is not certain.
    private mutating func block(
        of layer: StoredLayer, heldBy task: TaskName
    ) throws(StoredLayer.Flaw) -> CurvatureBlock? {
        let widths = LayerWidths(of: layer.name, heldBy: task, in: inventory)
        let declared: Located<WeightLayout>?
        do throws(WeightLayouts.Contradiction) {
            declared = try declarations.declared(layer.name, module: layer.address.module)
        } catch {
            contradictions.append((layer.name, error))
            return nil
        }
        if diagonals.hasIndices(layer.name) { return try embedding(layer, declared) }
        guard let declared else { return undeclared.note(layer, widths) ? try layer.block(.outIn) : nil }
        layouts[layer.name] = declared.value
        // The weight of an embedding tells nothing about the layouts of other layers.
        let isEmbedding = diagonals.sides(of: layer.name).contains(.input)
        if declared.value == .inOut, !isEmbedding, !declarations.isArchitecture(declared) {
            undeclared.note(declared: layer, at: declared.location)
        }
        let other: WeightLayout = declared.value == .outIn ? .inOut : .outIn
        if !layer.fits(declared.value, widths), layer.fits(other, widths) {
            faults.append(
                "the layout of \"\(layer.name)\" is \(declared.value.rawValue) here, but \(layer.description) of "
                    + "\(inventory.base.location) and the curvature of task \"\(task)\" fit only \(other.rawValue). Correct "
                    + "the layout.",
                about: layer.name, of: "layers", at: declared.location)
            return nil
        }
        return try layer.block(declared.value)
    }

    /// A layer whose input rows are indices: each picks a row of the weight, which is `[d_in, d_out]`.
    private mutating func embedding(
        _ layer: StoredLayer, _ declared: Located<WeightLayout>?
    ) throws(StoredLayer.Flaw) -> CurvatureBlock? {
        if let declared, declared.value == .outIn {
            faults.append(
                "the layout of \"\(layer.name)\" is out_in here, but its captured input holds indices, which pick rows of "
                    + "the weight, and that is in_out. Correct the layout, or leave it out.",
                about: layer.name, of: "layers", at: declared.location)
            return nil
        }
        layouts[layer.name] = .inOut
        return try layer.block(.inOut)
    }

    private mutating func fullBlock(_ name: String, heldBy task: TaskName) -> CurvatureBlock? {
        guard let parameter = StoredParameter(name, in: tensors) else {
            let base = inventory.base
            let meant = suggested(for: name) { base.tensors.keys.sorted() }
            note(
                "task \"\(task)\" has curvature for the parameter \"\(name)\", which the base does not hold.",
                name, of: "parameters of task \"\(task)\"", advice: meant)
            return nil
        }
        let tensor = parameter.tensor
        if isCut(tensor, of: name, "parameters") { return nil }
        guard tensor.floatingType != nil else {
            note(
                "parameter \"\(name)\" is \(tensor.elementType); a parameter with a full block must be floating-point. "
                    + "Leave it out with \"layers\".",
                name, of: "parameters")
            return nil
        }
        do throws(StoredLayer.Flaw) { return try parameter.block() } catch {
            note(error.sentence, name, of: "parameters")
            return nil
        }
    }

    private static func layerNames(of task: TaskName, in inventory: JobInventory) -> [String] {
        (inventory.captures[task]?.layers.keys.map(\.rawValue) ?? [])
            + (inventory.factorSets[task]?.factors.keys.filter { $0.side != .full }.map(\.owner) ?? [])
            + (inventory.factorSets[task]?.uses.values.flatMap { $0 } ?? [])
            + (inventory.partials[task]?.sums.keys.filter { $0.side != .full }.map(\.owner) ?? [])
    }

    private static func parameterNames(of task: TaskName, in inventory: JobInventory) -> [String] {
        (inventory.captures[task]?.parameters.keys.map(\.rawValue) ?? [])
            + (inventory.factorSets[task]?.factors.keys.filter { $0.side == .full }.map(\.owner) ?? [])
            + (inventory.partials[task]?.sums.keys.filter { $0.side == .full }.map(\.owner) ?? [])
    }
}

extension CurvatureBlock {
    /// A layer of whose factors some are diagonals.
    fileprivate func with(_ diagonals: DiagonalSides) -> CurvatureBlock {
        var block = self
        block.kind.diagonals = diagonals
        return block
    }
}
