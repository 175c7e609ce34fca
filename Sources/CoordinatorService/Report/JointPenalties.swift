import Identifiers
import JobPlan
import UnitOperations

/// Ω of each task's own vector under the pseudo-rows of the other tasks, by block.
///
/// The sum over blocks is Ω. A block has its floor, and its share Σ_sr X_sr X_sr,ℓ of Σ_sr X_sr², which may be
/// negative.
///
/// Source: DESIGN section 2.2, joint form.
struct JointPenalties {
    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    /// The values of a task's vector by block, in the order of the plan; blocks without a result are left out.
    func values(of task: TaskName) -> [(block: String, value: Double)] {
        guard let sum = plan.products[JointRowsOwner.subject, .jointPenalty(of: task)]?.unit,
            let shares = result(sum)?.measurements[.penalties]
        else { return [] }
        // The unit has summed the blocks in this order.
        let blocks = plan.blocks.map(\.name).filter { plan.products[$0, .jointDrift(of: task)] != nil }
        return zip(blocks, shares).compactMap { block, share in
            floor(of: task, block).map { (block, share + $0) }
        }
    }

    private func floor(of task: TaskName, _ block: String) -> Double? {
        switch plan.spec.curvature.regularizer.jointRows.floor {
        case .none: 0
        case .factors(let scale): factors(of: task, block).map { scale * $0 }
        case .complement:
            factors(of: task, block).flatMap { whole in
                number(.insidePenalty, block, .jointDrift(of: task)).map { whole - $0 }
            }
        }
    }

    private func factors(of task: TaskName, _ block: String) -> Double? {
        number(.penalties, block, .penalty(of: task, term: 0))
    }

    private func number(_ name: MeasurementName, _ block: String, _ purpose: UnitPurpose) -> Double? {
        plan.products[block, purpose].flatMap { result($0.unit)?.measurements[name]?.first }
    }
}
