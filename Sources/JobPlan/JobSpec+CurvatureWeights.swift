import Identifiers

extension JobSpec {
    /// The most samples that are accepted; larger counts are not exact in fp64.
    private static var samplesMax: Int { 1 << 53 }

    /// λ_t = w_t / Σ w_s: if the sum of weights overflows, every task's share becomes 0.
    func curvatureWeightProblems(_ inventory: JobInventory) -> [JobProblem] {
        let curved = curvedTasks
        var problems = curved.compactMap { task -> JobProblem? in
            let samples = inventory.samples(of: task.name)
            guard samples > Self.samplesMax else { return nil }
            return JobProblem(
                at: task.location,
                "the curvature of task \"\(task.name)\" has \(samples) samples; expected at most \(Self.samplesMax). "
                    + "Correct \"samples\" in the file's metadata.")
        }
        let known = inventory.curvatureWeights(of: self)
        let weights = curved.map { known[$0.name] ?? 0 }
        guard let largest = weights.max(), !weights.reduce(0, +).isFinite else { return problems }
        problems.append(
            JobProblem(
                at: fileName,
                "the \"curvature_weight\"s of the tasks sum to more than fp64 holds; the largest is \(largest). Divide them "
                    + "all by one number: only their ratios count."))
        return problems
    }
}
