public import Identifiers
public import UnitOperations

/// What an output of a unit is for, within its block or tensor.
///
/// A new product of a method or of a kind of layer is a case here.
public enum UnitPurpose: Hashable, Sendable {
    /// A task's factor.
    case factor(FactorSide, of: TaskName)
    /// The sums of a factor over tasks, or its inner products.
    case accumulation(FactorSide)
    /// The sums of both sides of a layer in the optimal form.
    case optimalAccumulation
    /// A matrix of a target's regularizer, in one of its Kronecker products; full blocks are in the first.
    case regularizer(FactorSide, term: Int, of: TargetName)
    /// The inverse of a matrix of a target's regularizer.
    case inverse(FactorSide, of: TargetName)
    /// The values of all task vectors against a task's factors.
    case interference(with: TaskName)
    /// The value of a task's own vector against a Kronecker product of the regularizer without that task.
    ///
    /// The penalty is the sum over the products.
    case penalty(of: TaskName, term: Int)
    /// The merge of a block, from its factors.
    case blockMerge
    /// The merge of a whole tensor without factors.
    case tensorMerge
}

/// The products of a plan: the output that serves each purpose of each block and tensor.
public struct PlanProducts: Equatable, Sendable {
    /// One row for each block or tensor, because its name is the longest part of a product's name.
    private var rows: [String: [UnitPurpose: UnitOutput]] = [:]
    /// The names of the rows that have an output for a purpose.
    private var subjects: [UnitPurpose: Set<String>] = [:]

    /// Makes an empty table with room for rows.
    init(rowCount: Int) { rows.reserveCapacity(rowCount) }

    /// The output that serves a purpose of a block or a tensor; `nil` when the plan has none.
    public internal(set) subscript(subject: String, purpose: UnitPurpose) -> UnitOutput? {
        get { rows[subject]?[purpose] }
        set {
            rows[subject, default: [:]][purpose] = newValue
            if newValue == nil {
                subjects[purpose]?.remove(subject)
            } else {
                subjects[purpose, default: []].insert(subject)
            }
        }
    }

    /// The outputs that serve a purpose, ordered by the name of the block or tensor.
    public func outputs(for purpose: UnitPurpose) -> [(subject: String, output: UnitOutput)] {
        (subjects[purpose] ?? []).sorted().compactMap { subject in
            self[subject, purpose].map { (subject: subject, output: $0) }
        }
    }

    /// The outputs that serve a purpose for each side of some blocks.
    ///
    /// - Parameters:
    ///   - blocks: The blocks.
    ///   - purpose: The purpose for a side.
    /// - Returns: The outputs, in the order of the blocks; missing ones are left out.
    public func outputs(of blocks: [CurvatureBlock], for purpose: (FactorSide) -> UnitPurpose) -> [UnitOutput] {
        blocks.flatMap { block in
            let row = rows[block.name] ?? [:]
            return block.factors.compactMap { row[purpose($0.side)] }
        }
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
        case .factors(let task): .factor(side, of: task)
        }
    }
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
