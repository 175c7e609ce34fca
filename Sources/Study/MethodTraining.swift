import Foundation
import Laboratory
import Safetensors
import SystemPackage

/// Trains a method's vectors, or reads those of an earlier run.
struct MethodTraining: Sendable {
    let inputs: StudyInputs
    let directory: StudyDirectory
    let team: PassTeam
    let library: FactorLibrary
    let forms: FormLibrary
    let mixtures: MixtureLibrary
    let progress: StudyProgress

    /// The task vectors, read back from their checkpoints, so that a resumed study uses the same values as the first
    /// run.
    ///
    /// - Throws: `LaboratoryError`, `CancellationError`.
    func vectors(_ method: StudyMethod, seed: Int) async throws -> VectorSet {
        var vectors: [[Float]] = []
        var seconds = 0.0
        var diagonals: [DiagonalCurvature]?
        for (index, task) in inputs.train.enumerated() {
            let file = directory.vector(method, seed: seed, task: task.name)
            let isNew = !FileManager.default.fileExists(atPath: file.string)
            if isNew {
                progress.begin("\(method.label), seed \(seed): fine-tuning \(task.name)")
                let known = if let diagonals { diagonals } else { await self.diagonals(method, seed: seed) }
                diagonals = known
                let penalty = try await penalty(method, seed: seed, task: index, known)
                try await train(method, seed: seed, task: task, penalty, to: file)
            }
            vectors.append(try inputs.base.taskVector(of: file))
            seconds += try self.seconds(of: file)
            progress.add(method.relativeCost, isNew: isNew)
        }
        return VectorSet(
            method: method.id, seed: seed, beta: method.recipe.beta > 0 ? method.recipe.beta : nil,
            setting: method.setting, vectors: vectors,
            seconds: seconds)
    }

    /// The checkpoints of a method's vectors, by task.
    func checkpoints(_ method: StudyMethod, seed: Int) -> [String: FilePath] {
        Dictionary(
            uniqueKeysWithValues: inputs.taskNames.map { ($0, directory.vector(method, seed: seed, task: $0)) })
    }

    private func train(
        _ method: StudyMethod, seed: Int, task: EvaluationTask, _ penalty: TrainingPenalty, to file: FilePath
    ) async throws {
        let training = FineTuning(
            task: task.name, base: inputs.base, head: task.head, tokens: task.tokens, labels: task.labels,
            recipe: method.recipe, penalty: penalty, seed: seed)
        let trained = try await training.run(on: team)
        try directory.makeDirectory(file.removingLastComponent())
        try inputs.base.write(
            trained.taskVector, to: file,
            metadata: [
                "task": task.name, "method": method.id, "seed": "\(seed)", "seconds": "\(trained.seconds)",
                "final_loss": "\(trained.losses.last ?? 0)",
            ])
    }

    private func seconds(of file: FilePath) throws -> Double {
        Double(try SafetensorsFile(opening: file).header.metadata["seconds"] ?? "") ?? 0
    }

    // MARK: - Penalties

    /// The diagonals of all tasks, for the method that needs them.
    private func diagonals(_ method: StudyMethod, seed: Int) async -> [DiagonalCurvature] {
        guard method.penalty == .diagonal else { return [] }
        return await inputs.diagonals(method.factors, seed: seed, team: team)
    }

    private func penalty(
        _ method: StudyMethod, seed: Int, task: Int, _ diagonals: [DiagonalCurvature]
    ) async throws -> TrainingPenalty {
        switch method.penalty {
        case .none: return .none
        case .curvature(let form):
            let file = try await library.regularizer(
                form, without: inputs.train[task].name, method.factors, seed: seed)
            let penalty = try CurvaturePenalty(opening: file, for: inputs.base, leavingOut: inputs.train[task].name)
            return .form(method.blockCount.map(penalty.blockDiagonal) ?? penalty)
        case .form(let form):
            return .form(try await forms.penalty(form, without: task, method.factors, seed: seed))
        case .diagonal: return .form(try StudyInputs.mean(of: diagonals, without: task))
        case .jacobian: return try inputs.otherInputs(without: task)
        case .inputMixture(let settings): return try await mixtures.penalty(settings, without: task, seed: seed)
        }
    }
}

extension StudyMethod {
    /// The method's label in a progress line.
    var label: String { setting.map { "\(id) (\($0))" } ?? id }
}
