import Identifiers
import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import UnitOperations

/// The check of jobs with the form `pseudo_rows`.
///
/// Joint rows of all layers belong to the same samples, so every layer must have all of them, each with equally many
/// rows. Source: DESIGN section 2.2, joint form.
extension JobSpec {
    /// Settings that the form does not go with, and captures that have no joint rows.
    func jointRowsProblems(_ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobProblem] {
        guard curvature.regularizer.form == .pseudoRows else { return [] }
        return jointSettingProblems() + jointTaskProblems(blocks, inventory)
            + jointPoolingProblems(blocks, inventory) + jointBlockProblems(blocks, inventory)
            + jointCountProblems(blocks, inventory)
    }

    /// What else of the job does not use the joint rows.
    var jointRowsNotices: [JobNotice] {
        guard curvature.regularizer.form == .pseudoRows else { return [] }
        guard mergesWithFactors, mergesSummedFullBlocks, !mergesJointRows else { return [] }
        let remedy = canMergeByJointRows ? " \"curvature: joint_rows\" under \"parameters\" takes these." : ""
        return [
            JobNotice(
                at: fileName,
                "\"\(method.name)\" merges with the accumulated factors, with F summed, and not with the joint rows of the "
                    + "form \"pseudo_rows\".\(remedy)")
        ]
    }

    private func jointSettingProblems() -> [JobProblem] {
        let form = "the form \"pseudo_rows\""
        var problems: [String] = []
        if curvature.normalization != .expand {
            problems.append(
                "\(form) needs the normalization \"expand\", whose B has no other scale than the rows; it is "
                    + "\"\(curvature.normalization.rawValue)\". Write \"normalization: expand\" under \"kfac\".")
        }
        if curvature.regularizer.balance == .trace {
            problems.append(
                "\(form) keeps what layers share, so \"balance: trace\" would scale the floor away from its rows. Remove "
                    + "\"balance\".")
        }
        if !curvature.groups.isEmpty {
            problems.append(
                "\(form) has products of different layers, to which no group's strength belongs. Remove \"groups\".")
        }
        if let compression = curvature.compression {
            problems.append(
                "\(form) subtracts what the rows hold from exact factors, so \"compression: \(compression.form.word.rawValue)\" "
                    + "could make it negative. Remove \"compression\".")
        }
        return problems.map { JobProblem(at: fileName, $0) }
    }

    /// Tasks without rows.
    private func jointTaskProblems(_ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobProblem] {
        curvedTasks.compactMap { task in
            let isCaptured = inventory.captures[task.name] != nil
            guard isCaptured || inventory.givenJointRows(of: task.name) != nil else {
                guard !task.factors.isEmpty else { return nil }
                return JobProblem(
                    at: task.location,
                    "the form \"pseudo_rows\" is made of captured rows, or of the joint rows of factors and partial sums, but "
                        + "the \"factors\" of task \"\(task.name)\" have none. Make them with joint rows, give its "
                        + "\"captures\", or choose the form \"accumulated\".")
            }
            let empty = blocks.filter { inventory.isEmpty($0, in: task.name) }
            guard !empty.isEmpty, curvature.missingCurvature == .renormalize else { return nil }
            let remedy = isCaptured ? "capture more samples" : "make the factors again from more samples"
            return JobProblem(
                at: task.location,
                "task \"\(task.name)\" has no rows of \(empty.map(\.name).quotedList), so no joint rows. Leave them out "
                    + "with \"layers\", or \(remedy).")
        }
    }

    /// Tasks whose positions are pooled by another codebook than those of the first task, or in other layers.
    private func jointPoolingProblems(_ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobProblem] {
        let names = Set(blocks.map(\.name))
        let poolings = curvedTasks.map { task in
            let rows = inventory.givenJointRows(of: task.name)
            let layers = names.intersection(rows?.pooledLayers ?? [])
            return (task: task, codebook: layers.isEmpty ? nil : rows?.codebook, layers: layers)
        }
        guard let first = poolings.first else { return [] }
        let remedy = "Collect all tasks with one codebook, and the same layers."
        return poolings.dropFirst().compactMap { other in
            if other.codebook != first.codebook {
                return JobProblem(
                    at: other.task.location,
                    "the positions of task \"\(other.task.name)\" are \(Self.pooling(other.codebook)), and those of task "
                        + "\"\(first.task.name)\" \(Self.pooling(first.codebook)), so their joint rows cannot be joined. "
                        + remedy)
            }
            let differing = other.layers.symmetricDifference(first.layers).sorted()
            guard !differing.isEmpty else { return nil }
            return JobProblem(
                at: other.task.location,
                "the positions of \(differing.quotedList) are pooled in one of the tasks \"\(first.task.name)\" and "
                    + "\"\(other.task.name)\" alone, so their joint rows cannot be joined. \(remedy)")
        }
    }

    private static func pooling(_ codebook: String?) -> String {
        codebook.map { "pooled by the codebook \"\($0.prefix(12))\"" } ?? "not pooled"
    }

    /// Blocks without the same samples as the others, or of a kind that has no joint rows.
    private func jointBlockProblems(_ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobProblem] {
        var faults = SharedFaults()
        var positions: [String: (task: TaskName, count: Int)] = [:]
        for task in curvedTasks {
            if let rows = inventory.givenJointRows(of: task.name), let problem = rows.constantProblem(blocks) {
                faults.append(problem, about: nil, of: "sets", at: "\(rows.noun) of task \"\(task.name)\"")
            }
            var check = JointBlockCheck(task.name, blocks, inventory)
            for block in blocks where !inventory.isEmpty(block, in: task.name) {
                if let problem = check.problem(of: block) {
                    faults.append(problem, about: block.name, of: "layers and parameters", at: check.place)
                } else if let count = check.positions(of: block) {
                    let first = positions[block.name, default: (task.name, count)]
                    positions[block.name] = first
                    guard first.count != count else { continue }
                    faults.append(
                        "layer \"\(block.name)\" has \(count) rows for each sample, but \(first.count) in task "
                            + "\"\(first.task)\"; \"pseudo_rows\" needs equally many in all tasks. Capture them alike, or "
                            + "leave the layer out with \"layers\".",
                        about: block.name, of: "layers", at: check.place)
                }
            }
        }
        return faults.problems
    }

    /// More rows than a Gram matrix may have: of a task's captures, or of the tasks that a target sums.
    private func jointCountProblems(_ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobProblem] {
        let most = JointRows.countMax
        let problems = curvedTasks.compactMap { task -> JobProblem? in
            guard let captures = inventory.captures[task.name] else {
                return jointPartProblem(of: task.name, blocks, inventory)
            }
            let count = captures.samples.saturatingProduct(max(1, captures.probes))
            guard count > most else { return nil }
            return JobProblem(
                at: "captures of task \"\(task.name)\"",
                "\(captures.samples) samples of \(captures.probes) probes are \(count) joint rows, whose Gram matrix is "
                    + "decomposed whole; expected at most \(most). Capture fewer samples or probes.")
        }
        var largest: (count: Int, message: String)?
        for side in [FactorSide.input, .gradient] {
            let ranks = curvedTasks.map { ($0.name, jointRank(of: $0.name, side, blocks, inventory)) }
            for target in regularizerTargets {
                let summed = ranks.filter { target.includes($0.0) }.map(\.1)
                let count = summed.reduce(0) { $0.saturatingSum($1) }
                guard count > max(most, largest?.count ?? 0) else { continue }
                largest = (
                    count,
                    "target \"\(target)\" sums \(summed.count) tasks, whose pseudo-rows of \(side.noun) are \(count) joint "
                        + "rows; expected at most \(most). Lower \"ranks\", or give factors with fewer joint rows."
                )
            }
        }
        return problems + (largest.map { [JobProblem(at: fileName, $0.message)] } ?? [])
    }

    /// More rows than a Gram matrix may have, in all files of a run.
    private func jointPartProblem(
        of task: TaskName, _ blocks: [CurvatureBlock], _ inventory: JobInventory
    ) -> JobProblem? {
        guard let rows = inventory.givenJointRows(of: task), !rows.isWhole else { return nil }
        let ranks = [FactorSide.input, .gradient].map { ($0.noun, rows.rank($0, of: blocks) ?? 0) }
        guard let (noun, count) = ranks.max(by: { $0.1 < $1.1 }), count > JointRows.countMax else { return nil }
        return JobProblem(
            at: "partial sums of task \"\(task)\"",
            "\(rows.parts.count) files have \(count) joint rows of \(noun), whose Gram matrix is decomposed whole; expected at "
                + "most \(JointRows.countMax). Collect fewer joint rows in each file, or write fewer files.")
    }

    /// The pseudo-rows of a task's side: those of one file, or as many as are asked and there.
    private func jointRank(
        of task: TaskName, _ side: FactorSide, _ blocks: [CurvatureBlock], _ inventory: JobInventory
    ) -> Int {
        let settings = curvature.regularizer.jointRows
        guard let captures = inventory.captures[task] else {
            guard let rows = inventory.givenJointRows(of: task) else { return 0 }
            let rank = rows.rank(side, of: blocks) ?? 0
            return rows.isWhole ? rank : min(rank, side == .input ? settings.inputRank : settings.gradientRank)
        }
        return side == .input
            ? min(settings.inputRank, captures.samples)
            : min(settings.gradientRank, captures.samples.saturatingProduct(max(1, captures.probes)))
    }
}

/// The joint rows of one task, block by block: captured, or those of its factors or partial sums.
private struct JointBlockCheck {
    /// The task's files, for messages.
    let place: String
    private var captured: JointCaptureCheck?
    private let captures: CaptureInventory?
    private let factors: [FactorName: FactorSetInventory.Factor]
    private let given: GivenJointRows?
    private let blocks: [CurvatureBlock]

    init(_ task: TaskName, _ blocks: [CurvatureBlock], _ inventory: JobInventory) {
        captures = inventory.captures[task]
        captured = captures.map(JointCaptureCheck.init)
        factors = inventory.factorSets[task]?.factors ?? [:]
        given = inventory.givenJointRows(of: task)
        place = "\(captures == nil ? given?.noun ?? "factors" : "captures") of task \"\(task)\""
        self.blocks = blocks
    }

    /// What keeps a block from having joint rows; `nil` if nothing does.
    mutating func problem(of block: CurvatureBlock) -> String? {
        captured?.problem(of: block) ?? given.flatMap { problem(of: block, given: $0) }
    }

    private func problem(of block: CurvatureBlock, given: GivenJointRows) -> String? {
        if let problem = JointCaptureCheck.useProblem(of: block) { return problem }
        let compressed = block.factors.lazy.map { FactorName(owner: block.name, side: $0.side) }
            .first { factors[$0]?.compression != nil }
        if let compressed {
            return "the factor \"\(compressed)\" is compressed, but \"pseudo_rows\" subtracts what the rows hold from "
                + "exact factors. Give the exact factors."
        }
        return given.problem(of: block, in: blocks)
    }

    /// The positions of a layer.
    func positions(of block: CurvatureBlock) -> Int? {
        guard block.factors.count == 2 else { return nil }
        return captures?.layers[LayerName(rawValue: block.name)]?.positions
            ?? given?.operation(block, .input)?.positions
    }
}

/// Compares the captured blocks of one task with the first of them.
private struct JointCaptureCheck {
    private let captures: CaptureInventory
    /// The first block, and its samples by file.
    private var first: (name: String, samples: [Int])?

    init(_ captures: CaptureInventory) { self.captures = captures }

    private static let advice = "Leave the layer out with \"layers\", or choose the form \"accumulated\"."

    /// Says that a weight has several uses; `nil` if it has one.
    static func useProblem(of block: CurvatureBlock) -> String? {
        guard !block.uses.isEmpty else { return nil }
        return "\"\(block.name)\" has several uses (\(block.uses.map(\.name).quotedList)), of which "
            + "\"pseudo_rows\" has no joint rows yet. \(advice)"
    }

    /// What keeps a block from having joint rows; `nil` if nothing does, or if it is not captured at all.
    mutating func problem(of block: CurvatureBlock) -> String? {
        if let problem = Self.useProblem(of: block) { return problem }
        let advice = Self.advice
        switch block.kind {
        case .linear(_, _, _, let diagonals):
            guard let layer = captures.layers[LayerName(rawValue: block.name)] else { return nil }
            guard layer.input.indexType == nil else {
                return "layer \"\(block.name)\" is an embedding, whose inputs are indices; \"pseudo_rows\" has no "
                    + "joint rows of it yet. \(advice)"
            }
            guard diagonals.isEmpty else {
                return "layer \"\(block.name)\" has a diagonal factor, and its rows are as long as the vocabulary; "
                    + "\"pseudo_rows\" has no joint rows of it yet. \(advice)"
            }
            return problem(of: block, layer)
        case .full:
            guard let parameter = captures.parameters[ParameterName(rawValue: block.name)] else { return nil }
            return differing(block, parameter.gradient.slices.map { $0.rows / max(1, captures.probes) })
        }
    }

    private mutating func problem(of block: CurvatureBlock, _ layer: CaptureInventory.Layer) -> String? {
        guard let positions = layer.positions else {
            return "layer \"\(block.name)\" has \(layer.input.rows) rows of \(layer.samples) samples; "
                + "\"pseudo_rows\" needs equally many rows for each sample. Pad or cut the samples to one length, or "
                + "leave the layer out with \"layers\"."
        }
        let isWhole = zip(layer.input.slices, layer.outputGradient.slices).allSatisfy {
            $0.rows.saturatingProduct(captures.probes) == $1.rows && $0.rows.isMultiple(of: positions)
        }
        guard isWhole, layer.input.slices.count == layer.outputGradient.slices.count else {
            return "layer \"\(block.name)\" has samples that no file holds whole, with all probes; \"pseudo_rows\" "
                + "needs whole samples. Capture it again."
        }
        return differing(block, layer.input.slices.map { $0.rows / positions })
    }

    private mutating func differing(_ block: CurvatureBlock, _ samples: [Int]) -> String? {
        guard let first else {
            self.first = (block.name, samples)
            return nil
        }
        guard samples != first.samples else { return nil }
        return "\"\(block.name)\" has \(samples.reduce(0, +)) samples in \(samples.count) files, \"\(first.name)\" "
            + "\(first.samples.reduce(0, +)) in \(first.samples.count); \"pseudo_rows\" needs the same samples of all "
            + "layers and parameters in every file. Capture them together, or leave it out with \"layers\"."
    }
}
