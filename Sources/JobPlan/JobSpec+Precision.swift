import Identifiers
import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import UnitOperations

extension JobSpec {
    /// The precision fp64 for a merge that reads no factors.
    func precisionProblems() -> [JobProblem] {
        guard let precision = curvature.precision, precision.value == .float64, outputs.contains(.merged),
            !mergesWithFactors
        else { return [] }
        return [
            JobProblem(
                at: precision.location,
                "\"precision: float64\" is for merges that read factors, and this one reads none: files, regularizers, "
                    + "inverses and the report have factors as float32. Remove \"precision\", or merge by a method that "
                    + "reads factors, such as \"\(MergeMethod.disentangle.name)\".")
        ]
    }

    /// The relative damping below which the rounding of factors to fp32 shows in the first digits of a result.
    ///
    /// Measured against fp64: `disentangle` is off by 3e-4 at 1e-3, `kfac` and `regmean` by 4e-4 at 1e-4.
    private var dampingOfSingles: Double { method.name == MergeMethod.disentangle.name ? 1e-3 : 1e-4 }

    /// Factors whose rounding to fp32 the merge makes larger, and stored ones that were rounded before.
    func precisionNotices(_ inventory: JobInventory) -> [JobNotice] {
        guard mergesWithFactors else { return unusedPrecisionNotices }
        let rounded = mergedTasks.map(\.name).filter { inventory.hasRoundedFactors(of: $0) }
        guard !mergesInDouble else { return roundedNotices(rounded) }
        let damping = curvature.damping
        guard damping.rule == .relative, damping.value < dampingOfSingles else { return [] }
        let remedy =
            rounded.count < mergedTasks.count
            ? "Write \"precision: float64\" under \"kfac\", or raise the damping."
            : "Raise the damping, or give captures or factors of F64 with \"precision: float64\" under \"kfac\"."
        return [
            JobNotice(
                at: fileName,
                "under \"\(method.name)\" with a relative damping of \(damping.value), below \(dampingOfSingles), the "
                    + "rounding of factors to float32 shows in the first four digits of the result, or in more. "
                    + remedy)
        ]
    }

    /// A job without a merge, such as one of which only the report is computed.
    private var unusedPrecisionNotices: [JobNotice] {
        guard let precision = curvature.precision, precision.value == .float64 else { return [] }
        return [
            JobNotice(
                at: precision.location,
                "\"precision: float64\" has no effect without a merge: files, regularizers, inverses and the report have "
                    + "factors as float32.")
        ]
    }

    private func roundedNotices(_ rounded: [TaskName]) -> [JobNotice] {
        guard !rounded.isEmpty else { return [] }
        return [
            JobNotice(
                at: curvature.precision?.location ?? fileName,
                "\"precision: float64\" brings no digits back that stored factors lack: those of "
                    + "\(rounded.map(\.rawValue).quotedList) are not all F64. Give captures or factors of F64.")
        ]
    }
}

extension JobInventory {
    /// Whether a task brings factors, or sums of them, in a type with fewer digits than F64.
    fileprivate func hasRoundedFactors(of task: TaskName) -> Bool {
        if let set = factorSets[task] {
            return set.factors.values.contains { $0.elementType != .f64 || $0.compression != nil }
        }
        return partials[task]?.sums.values.contains { $0.elementType != .f64 } ?? false
    }
}
