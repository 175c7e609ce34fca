public import Identifiers
public import UnitOperations

/// What an output of a unit is for, within its block or tensor.
///
/// A new product of a method or of a kind of layer is a case here.
public enum UnitPurpose: Hashable, Sendable {
    /// A task's factor, as its file has it.
    case factor(FactorSide, of: TaskName)
    /// The same as sums over tasks, penalties and merges read it: B is balanced if the job asks for that.
    case balancedFactor(FactorSide, of: TaskName)
    /// A task's B, scaled to the layer's exact trace.
    case balance(of: TaskName)
    /// The sums of a factor over tasks, or its inner products.
    case accumulation(FactorSide)
    /// The sums of both sides of a layer in the optimal form.
    case optimalAccumulation
    /// The mean squares of a side's captured rows, by position; a parameter has gradients only.
    case rowSquares(FactorSide, of: TaskName)
    /// The joint rows of a side of all of a task's files, before they are compressed again.
    case importedRows(FactorSide, of: TaskName)
    /// The pseudo-rows of a side.
    case jointRows(FactorSide, of: JointRowsOwner)
    /// The eigenvectors of a side over all layers; their subject is that of ``JointRowsOwner``.
    case jointEigenvectors(FactorSide, of: JointRowsOwner)
    /// A matrix of a target's regularizer, in one of its Kronecker products; full blocks are in the first.
    case regularizer(FactorSide, term: Int, of: TargetName)
    /// A task's factor, compressed for its file.
    case compressedFactor(FactorSide, of: TaskName)
    /// A matrix of a regularizer, compressed for the file, with its group's strength.
    case compressedRegularizer(FactorSide, RegularizerSet)
    /// The inverse of a matrix of a target's regularizer.
    case inverse(FactorSide, of: TargetName)
    /// The values of all task vectors, and of pairs of them, against a task's factors.
    case interference(with: TaskName)
    /// The value of a task's own vector against a Kronecker product of the regularizer without that task.
    ///
    /// The penalty is the sum over the products.
    case penalty(of: TaskName, term: Int)
    /// A task's own vector against the pseudo-rows of the regularizer without that task, in a block.
    case jointDrift(of: TaskName)
    /// The value of a task's own vector against these rows over all blocks; its subject is that of
    /// ``JointRowsOwner``.
    case jointPenalty(of: TaskName)
    /// The squared norms of all task vectors in tensors without curvature; the subject is the first of the tensors.
    case norms
    /// The closed form of a block, at which an iteration over all blocks starts.
    case mergeStart
    /// The merge of a block, from its factors.
    case blockMerge
    /// The merge of a whole tensor without factors, or of one expert of a stack.
    case tensorMerge
    /// The numbers of a tensor, or of one expert, with which the coordinator merges it element by element.
    case tensorMeasurement
    /// The sum of a matrix's vectors, for an adapter; of a whole model the coordinator makes it element by element.
    case matrixSum
}

/// The products of a plan: the output that serves each purpose of each block and tensor.
public struct PlanProducts: Equatable, Sendable {
    /// The names of the plan's blocks in order, and behind them those of tensors.
    private var subjects: [String]
    private var rows: [String: Int]
    /// For each purpose the outputs by row.
    ///
    /// A plan reads whole columns, so that neither names nor purposes are hashed for each output.
    private var columns: [UnitPurpose: [UnitOutput?]] = [:]

    /// Makes an empty table for the blocks of a plan.
    init(blocks: [CurvatureBlock]) {
        subjects = blocks.map(\.name)
        rows = Dictionary(zip(subjects, subjects.indices), uniquingKeysWith: { first, _ in first })
    }

    /// The output that serves a purpose of a block or a tensor; `nil` when the plan has none.
    public internal(set) subscript(subject: String, purpose: UnitPurpose) -> UnitOutput? {
        get {
            rows[subject].flatMap { self[block: $0, purpose] }
        }
        set {
            var row = subjects.count
            if let known = rows[subject] {
                row = known
            } else {
                rows[subject] = row
                subjects.append(subject)
            }
            self[block: row, purpose] = newValue
        }
    }

    /// The output that serves a purpose of a block of the plan, by the block's position.
    subscript(block position: Int, purpose: UnitPurpose) -> UnitOutput? {
        get {
            guard let column = columns[purpose], column.indices.contains(position) else { return nil }
            return column[position]
        }
        set { columns[purpose, default: []].set(newValue, at: position) }
    }

    /// The outputs that serve a purpose, ordered by the name of the block or tensor.
    public func outputs(for purpose: UnitPurpose) -> [(subject: String, output: UnitOutput)] {
        (columns[purpose] ?? []).enumerated().compactMap { row, output in
            output.map { (subject: subjects[row], output: $0) }
        }.sorted { $0.subject < $1.subject }
    }

    /// The outputs that serve a purpose for each side of some blocks.
    ///
    /// - Parameters:
    ///   - blocks: The blocks.
    ///   - purpose: The purpose for a side.
    /// - Returns: The outputs, in the order of the blocks; missing ones are left out.
    public func outputs(of blocks: [CurvatureBlock], for purpose: (FactorSide) -> UnitPurpose) -> [UnitOutput] {
        let (inputs, gradients, full) = (
            columns[purpose(.input)] ?? [], columns[purpose(.gradient)] ?? [], columns[purpose(.full)] ?? []
        )
        var outputs: [UnitOutput] = []
        outputs.reserveCapacity(2 * blocks.count)
        for (position, block) in blocks.enumerated() {
            guard let row = row(of: block.name, guess: position) else { continue }
            for (side, _) in block.factors {
                let output =
                    switch side {
                    case .input: row < inputs.count ? inputs[row] : nil
                    case .gradient: row < gradients.count ? gradients[row] : nil
                    case .full: row < full.count ? full[row] : nil
                    }
                if let output { outputs.append(output) }
            }
        }
        return outputs
    }

    /// The outputs that stand in a file: the compressed ones, where the plan has them, else the exact ones.
    ///
    /// - Parameters:
    ///   - blocks: The blocks.
    ///   - purpose: The purpose of an exact matrix, for a side.
    ///   - compressed: The purpose of its compressed form, for a side.
    /// - Returns: The outputs, in the order of the blocks; missing ones are left out.
    public func fileOutputs(
        of blocks: [CurvatureBlock], for purpose: (FactorSide) -> UnitPurpose,
        compressed: (FactorSide) -> UnitPurpose
    ) -> [UnitOutput] {
        let hasCompressed = FactorSide.allCases.contains { columns[compressed($0)] != nil }
        guard hasCompressed else { return outputs(of: blocks, for: purpose) }
        return blocks.flatMap { block in
            block.factors.compactMap { side, _ in
                self[block.name, compressed(side)] ?? self[block.name, purpose(side)]
            }
        }
    }

    /// The row of a block; the blocks of the plan itself have their own positions.
    private func row(of subject: String, guess: Int) -> Int? {
        guess < subjects.count && subjects[guess] == subject ? guess : rows[subject]
    }
}

extension [UnitOutput?] {
    /// Sets an element, which may lie behind the end.
    fileprivate mutating func set(_ output: UnitOutput?, at position: Int) {
        // Blocks come in order, so a loop is seldom needed.
        while count <= position { append(nil) }
        self[position] = output
    }
}

/// A set of matrices in a target's regularizer file.
public enum RegularizerSet: Hashable, Sendable {
    /// A Kronecker product of a sum over tasks.
    case term(Int, of: TargetName)
    /// A task's factors, in the per-task form.
    case factors(of: TaskName)

    /// The purpose of the set's matrix of a side.
    public func purpose(_ side: FactorSide) -> UnitPurpose {
        switch self {
        case .term(let term, let target): .regularizer(side, term: term, of: target)
        case .factors(let task): .balancedFactor(side, of: task)
        }
    }

    /// The purpose of that matrix in its compressed form.
    public func compressedPurpose(_ side: FactorSide) -> UnitPurpose { .compressedRegularizer(side, self) }
}

extension JobSpec {
    /// The targets of the job's regularizers and inverses, in the job's order.
    var regularizerTargets: [TargetName] {
        guard outputs.contains(.regularizer) || outputs.contains(.inverses) else { return [] }
        switch curvature.regularizer.targets {
        case .all: return [.all]
        case .leaveOneOut: return tasks.map { .without($0.name) }
        case .named(let names): return names.map { .without($0.value) }
        }
    }

    /// The sets of a target's regularizer file, in the order of the file.
    public func regularizerSets(of target: TargetName) -> [RegularizerSet] {
        guard let count = curvature.regularizer.termCount else {
            return curvedTasks.filter { target.includes($0.name) }.map { .factors(of: $0.name) }
        }
        return (0..<count).map { .term($0, of: target) }
    }
}
