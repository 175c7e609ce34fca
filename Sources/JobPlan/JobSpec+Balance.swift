import Identifiers
import TaskArithmetic
import UnitOperations

/// How layers are balanced with each other: `kfac.regularizer.balance`.
///
/// Source: DESIGN section 2.1.
public enum LayerBalance: String, Equatable, Sendable, CaseIterable {
    /// A and B as they are, which is the paper's form.
    case none
    /// Each task's B is scaled, so that tr(A) tr(B) is the exact trace of the layer's Gauss-Newton block.
    case trace
}

/// How full blocks are summed over tasks: `kfac.regularizer.one_dimensional`.
///
/// Source: DESIGN section 2.2.
public enum OneDimensionalSum: String, Equatable, Sendable, CaseIterable {
    /// F = Σ λ_t F_t, which is the paper's form.
    case mean
    /// F = Σ F_t, with the coefficients of B.
    case sum
}

extension JobSpec {
    /// Whether every merged task has the same share in a block: in full blocks that are summed like B.
    func sharesEqually(_ block: CurvatureBlock) -> Bool { block.factors.count == 1 && mergesSummedFullBlocks }

    /// Whether the merge reads full blocks that are summed like B.
    var mergesSummedFullBlocks: Bool {
        curvature.regularizer.oneDimensional == .sum && [MergeMethod.kfac, .kfacExact].contains(method)
    }

    /// Sums of full blocks in a form that has none.
    func oneDimensionalProblems() -> [JobProblem] {
        let regularizer = curvature.regularizer
        guard regularizer.oneDimensional == .sum, regularizer.form == .perTask else { return [] }
        return [
            JobProblem(
                at: fileName,
                "\"one_dimensional: sum\" is about sums over tasks; the form \"per_task\" has none. Remove it, or choose "
                    + "the form \"accumulated\" or \"optimal\".")
        ]
    }

    /// The layers of a task for which nothing tells the exact trace; captures always do.
    func balanceProblems(of task: TaskSpec, _ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobProblem] {
        guard curvature.regularizer.balance == .trace else { return [] }
        let layers = blocks.filter { $0.factors.count == 2 && !inventory.isEmpty($0, in: task.name) }
        let unknown: [String]
        let (what, remedy): (String, String)
        if let set = inventory.factorSets[task.name] {
            unknown = layers.map(\.name).filter { set.balances[$0] == nil }
            what = "the factor set states no \"balance\""
            remedy = "Make the factors again from the rows, with \"regularizer: {balance: trace}\" under \"kfac\""
        } else if let partials = inventory.partials[task.name] {
            unknown = layers.flatMap { inventory.layers(of: $0, in: task.name) }.map(\.name)
                .filter { partials.exactTraces[$0] == nil }
            what = "the partial sums state no \"exact_trace\""
            remedy = "Sum the rows again, with a program that writes it"
        } else {
            return []
        }
        guard !unknown.isEmpty else { return [] }
        return [
            JobProblem(
                at: task.factors.first.map { "factors of task \"\(task.name)\" (\($0.value))" } ?? task.location,
                "\(what) of \(unknown.count) of the \(layers.count) layers (\(unknown.quotedList)), so \"balance: trace\" "
                    + "cannot scale them. \(remedy), or write \"balance: none\".")
        ]
    }
}
