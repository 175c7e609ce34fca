import ArgumentParser
import Console
import Foundation
import Laboratory
import Study
import Synchronization
import SystemPackage

/// `kfaclab finetune`: trains one task's vector.
struct FinetuneCommand: Experiment {
    static let configuration = CommandConfiguration(
        commandName: "finetune", abstract: "Trains the task vector of one task, alone or under a regularizer.")

    /// The term that is added to the loss.
    enum Penalty: String, ExpressibleByArgument, CaseIterable {
        case none, curvature, diagonal, jacobian
    }

    @OptionGroup var lab: LabOptions

    @Argument(help: "The task.")
    var task: String

    @Option(name: .shortAndLong, help: "The checkpoint to write.")
    var output: String

    @Option(
        help: "linear: through f(x, θ0) + J τ. nonlinear: through f(x, θ0 + τ).",
        transform: { text in
            guard let regime = FineTuningRecipe.Regime(rawValue: text) else {
                throw ValidationError("\"\(text)\" is neither linear nor nonlinear.")
            }
            return regime
        })
    var regime = FineTuningRecipe.Regime.linear

    @Option(help: "A regularizer.safetensors of the daemon, of any form, that leaves this task out.")
    var regularizer: String?

    @Option(
        help: """
            none; curvature: with --regularizer; diagonal: of the other tasks' Gauss-Newton matrices; jacobian: of the \
            other tasks' own images.
            """)
    var penalty: Penalty?

    @Option(help: "β, the penalty's weight.")
    var beta: Double?

    @Option(help: "Number of steps.")
    var steps = 200

    @Option(help: "Images of a step.")
    var batch = 64

    @Option(help: "The largest learning rate; 1e-3, or 5e-4 for the non-linear regime, by default.")
    var learningRate: Double?

    @Option(help: "The penalty enters every so many steps.")
    var every = 1

    @Option(help: "Seed of the order of images.")
    var seed = 0

    func validate() throws {
        guard LabOptions.stepRange.contains(steps), batch > 0, every > 0 else {
            throw ValidationError("--steps must lie in \(LabOptions.stepRange), --batch and --every be at least 1.")
        }
        if chosenPenalty == .none, every != 1 { throw ValidationError("--every without a penalty has no effect.") }
        if let learningRate, !(learningRate > 0 && learningRate.isFinite) {
            throw ValidationError("--learning-rate must be a positive number.")
        }
        if let beta, !(beta >= 0 && beta.isFinite) { throw ValidationError("--beta must be a number of at least 0.") }
        if (chosenPenalty == .curvature) != (regularizer != nil) {
            throw ValidationError("--regularizer and --penalty curvature belong together.")
        }
        if chosenPenalty == .none, beta != nil { throw ValidationError("--beta without a penalty has no effect.") }
        if regime == .nonlinear, chosenPenalty == .jacobian {
            throw ValidationError("--penalty jacobian is for the linear regime.")
        }
    }

    private var chosenPenalty: Penalty { penalty ?? (regularizer == nil ? .none : .curvature) }

    private var chosenBeta: Double {
        switch chosenPenalty {
        case .none: 0
        case .curvature: beta ?? 100
        case .diagonal: beta ?? 10_000
        case .jacobian: beta ?? 30
        }
    }

    func perform() async throws {
        // Checked before the work, which is lost if it cannot be written.
        try StudyDirectory.requireWritable(file: FilePath(output))
        let inputs = try StudyInputs(lab.directory(), splits: [.train, .test])
        let team = lab.team(for: inputs.base)
        let own = try inputs.index(of: task)
        let training = FineTuning(
            task: task, base: inputs.base, head: inputs.train[own].head, tokens: inputs.train[own].tokens,
            labels: inputs.train[own].labels,
            recipe: FineTuningRecipe(
                regime: regime, stepCount: steps, batchSize: batch, learningRate: learningRate, beta: chosenBeta,
                penaltyInterval: every),
            penalty: try await trainingPenalty(inputs, own, team), seed: seed)
        let file = FilePath(output)
        try StudyDirectory(file.removingLastComponent()).makeDirectory(file.removingLastComponent())
        let stepCount = steps
        let output = Mutex(ProgressOutput())
        defer { Terminal.keepLine() }
        let trained = try await training.run(on: team) { step in
            let line = ProgressLine(
                name: task, share: Double(step) / Double(stepCount), figures: ["step \(step) of \(stepCount)"],
                activity: "")
            output.withLock { $0.show(line) }
        }
        try inputs.base.write(
            trained.taskVector, to: file,
            metadata: ["task": task, "seed": "\(seed)", "regime": regime.rawValue, "seconds": "\(trained.seconds)"])
        let evaluation = await Evaluation([inputs.test[own]], base: inputs.base, team: team)
        let accuracy = await evaluation.ownAccuracy(ofTask: 0, trained.taskVector, isLinear: regime == .linear)
        Terminal.print(
            String(
                format: "%@: loss %.4f → %.4f in %.1f s, test accuracy %.1f %% (zero-shot %.1f %%)", task,
                trained.losses.first ?? 0, trained.losses.last ?? 0, trained.seconds, accuracy,
                evaluation.baseAccuracies[0]))
        Terminal.print(file.string)
    }

    private func trainingPenalty(_ inputs: StudyInputs, _ own: Int, _ team: PassTeam) async throws -> TrainingPenalty {
        switch chosenPenalty {
        case .none: .none
        case .curvature:
            .form(
                try CurvaturePenalty(
                    opening: FilePath(regularizer ?? ""), for: inputs.base, leavingOut: task))
        case .diagonal: .form(try await inputs.diagonal(without: own, FactorSource(), seed: seed, team: team))
        case .jacobian: try inputs.otherInputs(without: own)
        }
    }
}
