import Identifiers
import LinearAlgebra
import TaskArithmetic
import UnitOperations

/// What a method merges at a time of the tensors without factors: whole tensors, or each expert of a stack.
///
/// Experts are never mixed. So the result does not depend on whether a file stacks them.
struct MergedMatrices {
    /// A tensor, or the part of one, that is merged alone.
    struct Part {
        /// The tensor's name, or the address of the part: `experts.down_proj[3]`.
        let name: String
        let region: ParameterRegion
        let parameters: MergedParameters
    }

    /// A stack, and the layout of its experts with the place that tells it.
    struct Stack {
        let stack: ExpertStack
        let layout: Located<WeightLayout>?
    }

    private let spec: JobSpec
    private let base: CheckpointInventory
    private let layouts: WeightLayouts
    private let isInterleaved: Bool

    init(spec: JobSpec, base: CheckpointInventory, layouts: WeightLayouts) {
        self.spec = spec
        self.base = base
        self.layouts = layouts
        isInterleaved = ExpertStack.isInterleaved(in: base)
    }

    // MARK: - Parts

    /// The parts of a tensor that workers merge; none if it is merged element by element.
    func parts(of tensor: TensorInventory) -> [Part] {
        if let stack = stack(tensor), spec.method.scope.mergesMatrices {
            return parts(of: stack)
        }
        guard spec.method.scope.mergesWhole(shape: tensor.shape) else { return [] }
        guard !ExpertStack.isBias(tensor) else { return biases(tensor) }
        let isTransposed = layout(ofMatrix: tensor) == .inOut
        if tensor.shape.count == 2, spec.splitsFused, let name = tensor.fusedName {
            return halves(
                of: 0, of: tensor, named: name, rows: tensor.shape[0], columns: tensor.shape[1],
                isTransposed ? .inOut : .outIn)
        }
        var region = ParameterRegion(tensor: tensor.name, elements: 0..<tensor.elementCount)
        var shape = tensor.shape
        if isTransposed {
            region.layout = .inOut
            shape.reverse()
        }
        return [Part(name: tensor.name, region: region, parameters: MergedParameters(tensorOfShape: shape))]
    }

    /// The layout in which a method of task vectors takes a matrix; what merges models as they are takes them as they
    /// are stored.
    private func layout(ofMatrix tensor: TensorInventory) -> WeightLayout? {
        guard tensor.shape.count == 2, spec.method.terms == .taskVectors else { return nil }
        return layouts.layout(ofTensor: tensor.name)
    }

    /// A tensor that is a stack by its name, or because the job says so.
    func stack(_ tensor: TensorInventory) -> Stack? {
        if let flat = ExpertStack(flat: tensor, in: base) {
            return Stack(stack: flat, layout: layouts.layout(ofStack: flat))
        }
        guard tensor.shape.count == 3, tensor.elementCount > 0, tensor.floatingType != nil else { return nil }
        let named = ExpertStack(tensor)
        let stack = named ?? ExpertStack(declared: tensor)
        let layout = layouts.layout(ofStack: stack)
        return named != nil || layout != nil ? Stack(stack: stack, layout: layout) : nil
    }

    private func parts(of found: Stack) -> [Part] {
        let stack = found.stack
        let size = stack.rows * stack.columns
        let known = spec.method.terms == .taskVectors ? found.layout?.value : nil
        return (0..<stack.count).flatMap { expert in
            let name = "\(stack.module)[\(expert)]"
            if spec.splitsFused, stack.isFused, let layout = found.layout?.value {
                return halves(
                    of: expert * size, of: stack.tensor, named: name, rows: stack.rows, columns: stack.columns, layout)
            }
            let isTransposed = known == .inOut
            return [
                Part(
                    name: name,
                    region: ParameterRegion(
                        tensor: stack.tensor.name, elements: expert * size..<(expert + 1) * size,
                        layout: isTransposed ? .inOut : .outIn),
                    parameters: .tensor(
                        rows: isTransposed ? stack.columns : stack.rows,
                        columns: isTransposed ? stack.rows : stack.columns))
            ]
        }
    }

    /// The bias of each expert; a method of matrices merges them element by element.
    private func biases(_ tensor: TensorInventory) -> [Part] {
        guard spec.method.scope.mergesWhole(shape: [1]) else { return [] }
        let count = tensor.shape[1]
        return (0..<tensor.shape[0]).map { expert in
            Part(
                name: "\(tensor.name)[\(expert)]",
                region: ParameterRegion(tensor: tensor.name, elements: expert * count..<(expert + 1) * count),
                parameters: .tensor(rows: 1, columns: count))
        }
    }

    /// The gate and its partner of one matrix, which begins at an element of a tensor.
    private func halves(
        of start: Int, of tensor: TensorInventory, named name: String, rows: Int, columns: Int, _ layout: WeightLayout
    ) -> [Part] {
        let isTransposed = layout == .inOut
        let (outputs, inputs) = isTransposed ? (columns, rows) : (rows, columns)
        let half = outputs / 2
        let areTurns = isInterleaved && tensor.shape.count == 3
        // What merges models as they are takes them as they are stored.
        let isRead = isTransposed && spec.method.terms == .taskVectors
        return (0..<2).map { part in
            let first = start + (areTurns ? part : part * half) * (isTransposed ? 1 : columns)
            let elements: ElementRuns =
                switch (isTransposed, areTurns) {
                case (true, true): ElementRuns(from: first, length: 1, distance: 2, count: half * rows)
                case (true, false): ElementRuns(from: first, length: half, distance: columns, count: rows)
                case (false, true): ElementRuns(from: first, length: columns, distance: 2 * columns, count: half)
                case (false, false): ElementRuns(first..<first + half * columns)
                }
            return Part(
                name: areTurns ? "\(name)[\(part)::2]" : "\(name)[\(part * half):\((part + 1) * half)]",
                region: ParameterRegion(tensor: tensor.name, elements: elements, layout: isRead ? .inOut : .outIn),
                parameters: isTransposed && !isRead
                    ? .tensor(rows: inputs, columns: half) : .tensor(rows: half, columns: inputs))
        }
    }

    // MARK: - What is declared

    /// The stacks that the method merges expert by expert, by name.
    private var stacks: [Stack] {
        guard spec.outputs.contains(.merged), spec.mergesAnything, spec.method.scope.mergesMatrices else { return [] }
        let copied = CopiedTensors(spec: spec, base: base)
        return base.tensors.values.filter { copied.reason(of: $0.name) == nil }.compactMap(stack)
            .sorted { $0.stack.tensor.name < $1.stack.tensor.name }
    }

    /// Stacks whose layout must be known and is not, and halves that cannot be told apart.
    var problems: [JobProblem] {
        let (stacks, settings) = (stacks, MergeSettings(spec: spec, base: base))
        let matrices = base.tensors.values.filter {
            $0.shape.count == 2 && $0.fusedName != nil && spec.method.scope.mergesWhole(shape: $0.shape)
        }.sorted { $0.name < $1.name }
        return layouts.contradictions(ofStacks: stacks.map(\.stack)) + undeclaredProblems(stacks, settings)
            + uncountedProblems(settings)
            + (spec.splitsFused ? splitProblems(stacks, matrices) : [])
    }

    private func undeclaredProblems(_ stacks: [Stack], _ settings: MergeSettings) -> [JobProblem] {
        let undeclared = stacks.filter { found in
            guard found.layout == nil, !layouts.contradicts(found.stack),
                settings.mergesAsMatrix(tensor: found.stack.tensor.name)
            else { return false }
            let isSplit = spec.splitsFused && found.stack.isFused
            return isSplit || spec.method.dependsOnLayout(settings.arguments(tensor: found.stack.tensor.name))
        }
        guard let first = undeclared.first?.stack else { return [] }
        let others = undeclared.count == 1 ? "" : " (and \(undeclared.count - 1) more)"
        let needs =
            spec.splitsFused && first.isFused ? "\"split_fused\"" : "the merge method \"\(spec.method.name)\""
        return [
            JobProblem(
                at: base.location,
                "tensor \"\(first.tensor.name)\" \(first.tensor.shape)\(others) stacks \(first.count) experts, but nothing "
                    + "tells whether each is [d_out, d_in] or [d_in, d_out], and \(needs) depends on it. Declare it in the "
                    + "job, as in \"kfac: {layout: {\"\(first.module.patternOfDepth)\": in_out}}\"; out_in means "
                    + "[d_out, d_in], as torch.nn.Linear has it.")
        ]
    }

    /// Matrices of experts below each other whose number nothing tells: as one matrix they would be mixed.
    private func uncountedProblems(_ settings: MergeSettings) -> [JobProblem] {
        guard spec.outputs.contains(.merged), spec.mergesAnything, spec.method.scope.mergesMatrices else { return [] }
        let copied = CopiedTensors(spec: spec, base: base)
        let found = base.tensors.values.filter { tensor in
            ExpertStack.isFlat(tensor) && ExpertStack(flat: tensor, in: base) == nil
                && copied.reason(of: tensor.name) == nil && settings.mergesAsMatrix(tensor: tensor.name)
        }.sorted { $0.name < $1.name }
        guard let first = found.first else { return [] }
        let others = found.count == 1 ? "" : " (and \(found.count - 1) more)"
        return [
            JobProblem(
                at: base.configuration?.location ?? base.location,
                "tensor \"\(first.name)\" \(first.shape)\(others) holds experts below each other, but config.json does not "
                    + "tell how many; expected \"ffn_config\": {\"moe_num_experts\": …}, which divides its rows. Copy the "
                    + "model's config.json beside it, or except the tensors with \"as_matrix\".")
        ]
    }

    private func splitProblems(_ stacks: [Stack], _ matrices: [TensorInventory]) -> [JobProblem] {
        let fused = stacks.filter(\.stack.isFused)
        guard !fused.isEmpty || !matrices.isEmpty else {
            return [
                JobProblem(
                    at: spec.fileName,
                    "\"split_fused\" is true, but \(!spec.method.scope.mergesMatrices ? "the merge method \"\(spec.method.name)\" merges no whole matrices" : "the base has no weight \"gate_up_proj\" or \"input_linear\""). "
                        + "Leave it out.")
            ]
        }
        let odd =
            fused.compactMap { found -> TensorInventory? in
                let outputs = found.layout?.value == .inOut ? found.stack.columns : found.stack.rows
                return outputs.isMultiple(of: 2) ? nil : found.stack.tensor
            }
            + matrices.filter { !$0.shape[layouts.layout(ofTensor: $0.name) == .inOut ? 1 : 0].isMultiple(of: 2) }
        return odd.prefix(1).map { tensor in
            JobProblem(
                at: base.location,
                "\"split_fused\" cannot split \"\(tensor.name)\" \(tensor.shape), whose number of outputs is odd; expected "
                    + "as many of the gate as of its partner. Leave \"split_fused\" out, or correct the layout.")
        }
    }

    /// How stacks are merged, one remark for each layout and the place that tells it.
    var notices: [JobNotice] {
        let groups = Dictionary(grouping: stacks) { found in
            "\(found.layout?.value.rawValue ?? "")\n\(found.layout?.location ?? "")\n\(found.stack.isFused)"
        }
        return groups.sorted { $0.key < $1.key }.map { _, found in
            let names = found.map(\.stack.tensor.name)
            let dimensions = found[0].layout.map { $0.value == .inOut ? "[d_in, d_out]" : "[d_out, d_in]" }
            let layout = dimensions.map { "each as \($0)" } ?? "each as it is stored"
            let halves =
                spec.splitsFused && found[0].stack.isFused
                ? isInterleaved
                    ? ", its gate (even outputs) and up (odd outputs) apart" : ", its gate and up halves apart"
                : ""
            return JobNotice(
                at: found[0].layout?.location ?? base.location,
                "the experts of \(names.quotedList) are merged one by one, \(layout)\(halves).")
        }
    }
}

extension TensorInventory {
    /// The layer's name, if the matrix is a gate and its partner in one.
    fileprivate var fusedName: String? {
        guard name.hasSuffix(".weight"), let role = name.dropLast(7).split(separator: ".").last,
            ExpertStack.fusedNames.contains(role)
        else { return nil }
        return String(name.dropLast(7))
    }
}

extension String {
    /// The name with `*` in place of what stands before the experts: the same tensor of every layer.
    fileprivate var patternOfDepth: String {
        guard let experts = firstRange(of: "experts.") else { return self }
        return experts.lowerBound == startIndex ? self : "*.\(self[experts.lowerBound...])"
    }
}
