import Laboratory

extension StudyMethod.Penalty {
    /// The size of a penalty of several tasks.
    ///
    /// - Parameters:
    ///   - size: The sizes for a model.
    ///   - taskCount: The tasks that the penalty protects.
    ///   - source: Their samples and probes.
    /// - Returns: The numbers that it keeps and shares; nil for a penalty that keeps data.
    func elementCount(_ size: FormSize, taskCount: Int, _ source: FactorSource) -> Int? {
        switch self {
        case .none: return 0
        case .diagonal: return size.diagonal
        case .curvature(.accumulated): return size.factors
        case .curvature(.optimal(let rank)): return min(rank, taskCount) * size.factors
        case .curvature(.perTask): return taskCount * size.factors
        case .form(.kronecker(let settings)):
            return settings.accumulation == .perTask ? taskCount * size.factors : size.factors
        case .form(.pseudoRows(let settings)):
            // There are never more pseudo-rows than rows.
            let samples = taskCount * source.sampleCount
            let rows = size.rows(
                inputs: min(settings.inputRank, samples),
                gradients: min(settings.gradientRank, samples * source.probeCount),
                buckets: settings.centroidCount == 0 ? nil : 1 + settings.centroidCount)
            return rows + (settings.floor == .none ? 0 : size.factors)
        case .inputMixture(let settings): return size.mixture(components: settings.componentCount, rank: settings.rank)
        case .jacobian: return nil
        }
    }
}
