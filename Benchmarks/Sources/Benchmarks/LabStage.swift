import Foundation
import Laboratory
import SystemPackage

/// Measures the lab: the penalty's cost by the number of tasks, and a linearised training step beside PyTorch's.
struct LabStage {
    let example: String
    let python: String?
    let size: MeasuredSize

    func measure() async throws {
        let base = try BaseModel(opening: FilePath(example).appending("base.safetensors"))
        penalty(base)
        try await step(base)
    }

    /// The accumulated form has one term for any number of tasks; the per-task form has a term for each other task.
    private func penalty(_ base: BaseModel) {
        print("\npenalty and its gradient, one thread, microseconds")
        let costs = PenaltyCostMeasurement.run(base, taskCounts: size.penaltyTasks, repetitions: size.penaltyRuns)
        for cost in costs {
            print(
                "  \(cost.taskCount) tasks: accumulated \(fixed(cost.accumulatedMicroseconds, 0)), optimal rank 2",
                "\(fixed(cost.optimalMicroseconds, 0)), per task \(fixed(cost.perTaskMicroseconds, 0))")
        }
        let accumulated = costs.map(\.accumulatedMicroseconds)
        print("  accumulated: largest / smallest", fixed((accumulated.max() ?? 0) / (accumulated.min() ?? 1), 3))
    }

    /// Forward at θ0, J τ, cross-entropy, Jᵀ u and AdamW, for batches of 64.
    private func step(_ base: BaseModel) async throws {
        print("\nlinearised training step, batch 64, milliseconds (least of \(size.runs) runs of \(size.steps) steps)")
        for threads in [1, 2] {
            var ours = Double.infinity
            var theirs = Double.infinity
            for _ in 0..<size.runs {
                ours = min(ours, try await ourStep(base, threads: threads))
                if let python { theirs = min(theirs, try theirStep(python, threads: threads)) }
            }
            let comparison = theirs.isFinite ? ", torch.func \(fixed(theirs)), ratio \(fixed(theirs / ours))" : ""
            print("  \(threads) thread\(threads == 1 ? "" : "s"): kfaclab \(fixed(ours))\(comparison)")
        }
        if python == nil { print("  (PyTorch: name an interpreter that has torch with --torch-python)") }
    }

    private func ourStep(_ base: BaseModel, threads: Int) async throws -> Double {
        let (sampleCount, classCount, stepCount) = (64, 32, size.steps)
        let shape = base.layout.shape
        var random = SeededRandom(seed: 0, purpose: "benchmark")
        let images = (0..<sampleCount * 28 * 28).map { _ in UInt8.random(in: 0...255, using: &random) }
        let training = FineTuning(
            task: "benchmark", base: base,
            head: ClassHead(
                weights: (0..<classCount * shape.featureWidth).map { _ in Float(random.nextNormal()) },
                classCount: classCount, featureWidth: shape.featureWidth),
            tokens: base.embedding.tokens(of: images),
            labels: (0..<sampleCount).map { Int32($0 % classCount) },
            recipe: FineTuningRecipe(stepCount: stepCount), penalty: .none, seed: 0)
        let trained = try await training.run(on: PassTeam(base.layout, laneCount: threads))
        return 1000 * trained.seconds / Double(stepCount)
    }

    private func theirStep(_ python: String, threads: Int) throws -> Double {
        let step: TorchStep = try PythonScript(python: python, name: "linearized_step.py")
            .run(["--threads", "\(threads)", "--steps", "\(size.steps)"], threads: threads)
        return step.milliseconds
    }

    /// What `linearized_step.py` prints.
    private struct TorchStep: Decodable {
        /// The median time of a step.
        var milliseconds: Double
    }
}
