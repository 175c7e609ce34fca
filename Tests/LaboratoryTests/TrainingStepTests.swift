import Foundation
import LinearAlgebra
import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

/// Checks steps against the objective: its gradient by finite differences, and then Adam by hand.
struct TrainingStepTests {
    private let model: TinyModel
    private let task: TinyTask
    private let others: TinyTask
    private let places: [Int]

    init() throws {
        BLASEnvironment.setThreadCount(1)
        model = try TinyModel()
        task = TinyTask(model, samples: 6)
        others = TinyTask(model, samples: 5, seed: 23)
        // Every 53rd parameter, and the first of each tensor.
        places = Array(stride(from: 0, to: model.base.layout.count, by: 53)) + model.base.layout.entries.map(\.offset)
    }

    private let rate = 0.1
    private let stepCount = 3

    private func training(
        _ regime: FineTuningRecipe.Regime, _ penalty: TrainingPenalty = .none, beta: Double = 0, interval: Int = 1,
        batch: Int = 64, penaltyBatch: Int? = nil
    ) -> FineTuning {
        // Batches hold all samples, so that every step sees the same objective.
        task.training(
            FineTuningRecipe(
                regime: regime, stepCount: stepCount, batchSize: batch, penaltyBatchSize: penaltyBatch,
                learningRate: rate,
                warmUpShare: 0, beta: beta, penaltyInterval: interval), penalty: penalty)
    }

    /// Takes all steps, and expects that each is Adam's step with the gradient of the step's objective.
    private func expectSteps(
        _ training: FineTuning, sourceLocation: SourceLocation = #_sourceLocation,
        objective: (_ step: Int, _ vector: [Float]) -> Double
    ) async {
        var step = TrainingStep(training, PassTeam(model.base.layout, laneCount: 2))
        var (mean, square) = ([Double](repeating: 0, count: places.count), [Double](repeating: 0, count: places.count))
        for number in 0..<stepCount {
            let before = step.vector
            let gradients = places.map { place in
                var (up, down) = (before, before)
                up[place] += 0.01
                down[place] -= 0.01
                return (objective(number, up) - objective(number, down)) / Double(up[place] - down[place])
            }
            let loss = await step.take(number, samples: Array(task.images.labels.indices))
            expectClose(
                loss, task.loss(at: before, training.recipe.regime), relative: 1e-4, sourceLocation: sourceLocation)
            let stepRate = rate * 0.5 * (1 + cos(Double.pi * Double(number) / Double(stepCount)))
            var (found, expected): ([Double], [Double]) = ([], [])
            let scale = gradients.map(\.magnitude).max() ?? 1
            for (index, gradient) in gradients.enumerated() {
                mean[index] = 0.9 * mean[index] + 0.1 * gradient
                square[index] = 0.999 * square[index] + 0.001 * gradient * gradient
                // Near 0 a finite difference of the gradient has no correct digit, and Adam uses its sign.
                guard square[index] / (1 - pow(0.999, Double(number + 1))) > 1e-4 * scale * scale else { continue }
                let move =
                    mean[index] / (1 - pow(0.9, Double(number + 1)))
                    / ((square[index] / (1 - pow(0.999, Double(number + 1)))).squareRoot() + 1e-8)
                expected.append(-stepRate * move)
                found.append(Double(step.vector[places[index]]) - Double(before[places[index]]))
            }
            #expect(found.count > 10, sourceLocation: sourceLocation)
            expectClose(found, expected, absolute: 0.01 * stepRate, sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: FineTuningRecipe.Regime.allCases)
    func `a step follows the gradient of the mean cross-entropy`(regime: FineTuningRecipe.Regime) async {
        await expectSteps(training(regime)) { _, vector in task.loss(at: vector, regime) }
    }

    @Test func `the first step moves every parameter by the learning rate against its gradient`() async {
        var step = TrainingStep(training(.linear), PassTeam(model.base.layout, laneCount: 1))
        _ = await step.take(0, samples: [0, 1, 2, 3, 4, 5])
        // m / √v = sign g, for every gradient that is large beside Adam's ε.
        expectClose(places.map { step.vector[$0].magnitude }, places.map { _ in rate }, relative: 0.01)
    }

    @Test(arguments: FineTuningRecipe.Regime.allCases)
    func `a diagonal penalty adds β Σ d τ²`(regime: FineTuningRecipe.Regime) async {
        let diagonal = (0..<model.base.layout.count).map { Float($0 % 5) }
        await expectSteps(training(regime, .form(DiagonalCurvature(values: diagonal)), beta: 0.5)) { _, vector in
            task.loss(at: vector, regime) + 0.5 * sum(diagonal, vector)
        }
    }

    @Test(arguments: FineTuningRecipe.Regime.allCases)
    func `a curvature penalty adds β Ω(τ)`(regime: FineTuningRecipe.Regime) async {
        let penalty = CurvaturePenalty.squaredNorm(model.base.layout, termCount: 3)
        await expectSteps(training(regime, .form(penalty), beta: 0.25)) { _, vector in
            task.loss(at: vector, regime) + 0.25 * vector.reduce(0) { $0 + Double($1) * Double($1) }
        }
    }

    @Test(arguments: [(64, nil), (2, 5)] as [(Int, Int?)])
    func `a Jacobian penalty adds β times the mean of ‖J τ‖² over other tasks' samples`(
        batch: Int, penaltyBatch: Int?
    ) async {
        let penalty = TrainingPenalty.jacobian(tokens: others.tokens, sampleCount: 5)
        let training = training(.linear, penalty, beta: 0.3, batch: batch, penaltyBatch: penaltyBatch)
        await expectSteps(training) { _, vector in
            let tangents = ModelOutputs(model.base, tokens: others.tokens, count: 5).tangents(along: vector)
            let mean = tangents.joined().reduce(0) { $0 + $1 * $1 } / 5
            return task.loss(at: vector, .linear) + 0.3 * mean
        }
    }

    @Test func `a penalty every second step enters these steps twice`() async {
        let diagonal = (0..<model.base.layout.count).map { Float($0 % 5) }
        await expectSteps(training(.linear, .form(DiagonalCurvature(values: diagonal)), beta: 0.5, interval: 2)) {
            step, vector in
            task.loss(at: vector, .linear) + (step.isMultiple(of: 2) ? 2 * 0.5 * sum(diagonal, vector) : 0)
        }
    }

    private func sum(_ diagonal: [Float], _ vector: [Float]) -> Double {
        zip(diagonal, vector).reduce(0) { $0 + Double($1.0) * Double($1.1) * Double($1.1) }
    }
}
