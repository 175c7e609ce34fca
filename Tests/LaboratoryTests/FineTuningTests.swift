import LinearAlgebra
import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

struct FineTuningTests {
    private let model: TinyModel
    private let task: TinyTask

    init() throws {
        BLASEnvironment.setThreadCount(1)
        model = try TinyModel()
        task = TinyTask(model, samples: 60)
    }

    private func team(_ laneCount: Int = 1) -> PassTeam { PassTeam(model.base.layout, laneCount: laneCount) }

    private func recipe(
        _ regime: FineTuningRecipe.Regime = .linear, steps: Int = 4, batch: Int = 40, rate: Double = 0.01,
        beta: Double = 0, interval: Int = 1
    ) -> FineTuningRecipe {
        FineTuningRecipe(
            regime: regime, stepCount: steps, batchSize: batch, learningRate: rate, warmUpShare: 0, beta: beta,
            penaltyInterval: interval)
    }

    /// All penalties, with values that are large enough to matter beside the loss at β = 1.
    private var penalties: [TrainingPenalty] {
        let others = TinyTask(model, samples: 50, seed: 23)
        return [
            .none, .form(CurvaturePenalty.squaredNorm(model.base.layout, termCount: 2)),
            .form(DiagonalCurvature(values: (0..<model.base.layout.count).map { Float($0 % 7) })),
            .jacobian(tokens: others.tokens, sampleCount: 50),
        ]
    }

    @Test(arguments: FineTuningRecipe.Regime.allCases)
    func `a result is the same to the bit for any number of threads`(regime: FineTuningRecipe.Regime) async throws {
        // Batches of 40 samples are split into shards of 16, 16 and 8.
        for penalty in penalties {
            let training = task.training(recipe(regime, beta: 1), penalty: penalty)
            let one = try await training.run(on: team())
            for laneCount in [2, 3, 5] {
                let found = try await training.run(on: team(laneCount))
                #expect(found.taskVector == one.taskVector)
                #expect(found.losses == one.losses)
            }
        }
    }

    @Test func `one team computes several trainings, each as if it were alone`() async throws {
        let shared = team(2)
        let training = task.training(recipe())
        let first = try await training.run(on: shared)
        _ = try await task.training(recipe(.nonlinear, batch: 7), seed: 5).run(on: shared)
        #expect(try await training.run(on: shared).taskVector == first.taskVector)
    }

    @Test func `another seed and another task's name give another vector`() async throws {
        let first = try await task.training(recipe()).run(on: team())
        let seeded = try await task.training(recipe(), seed: 1).run(on: team())
        #expect(seeded.taskVector != first.taskVector)
        let named = FineTuning(
            task: "another", base: task.base, head: task.head, tokens: task.tokens, labels: task.images.labels,
            recipe: recipe(), penalty: .none, seed: 0)
        #expect(try await named.run(on: team()).taskVector != first.taskVector)
    }

    @Test(arguments: FineTuningRecipe.Regime.allCases)
    func `a task that can be learnt is learnt`(regime: FineTuningRecipe.Regime) async throws {
        let trained = try await task.training(recipe(regime, steps: 80, batch: 60, rate: 0.05)).run(on: team(2))
        #expect(trained.losses.count == 80)
        let before = task.loss(at: [Float](repeating: 0, count: trained.taskVector.count), regime)
        let after = task.loss(at: trained.taskVector, regime)
        // ln 3 is the loss of a guess among three classes.
        #expect(after < min(0.6 * before, 1.0986), "\(before) → \(after)")
        #expect(trained.seconds > 0)
    }

    @Test func `the progress counts the steps`() async throws {
        let counted = Recorder<Int>()
        _ = try await task.training(recipe(steps: 3)).run(on: team()) { counted.append($0) }
        #expect(counted.values == [1, 2, 3])
    }

    // MARK: - Penalties

    @Test func `with β = 0 a penalty changes nothing`() async throws {
        let plain = try await task.training(recipe()).run(on: team())
        for penalty in penalties {
            let found = try await task.training(recipe(beta: 0), penalty: penalty).run(on: team())
            #expect(found.taskVector == plain.taskVector)
        }
    }

    @Test func `a penalty every second step is not the one of every step`() async throws {
        for penalty in penalties.dropFirst() {
            let every = try await task.training(recipe(beta: 1), penalty: penalty).run(on: team())
            let second = try await task.training(recipe(beta: 1, interval: 2), penalty: penalty).run(on: team())
            #expect(second.taskVector != every.taskVector)
        }
    }

    @Test func `two steps with a penalty every second step meet it at τ = 0 only, where it has no gradient`()
        async throws
    {
        let plain = try await task.training(recipe(steps: 2)).run(on: team())
        for penalty in penalties {
            let found = try await task.training(recipe(steps: 2, beta: 1, interval: 2), penalty: penalty)
                .run(on: team())
            #expect(found.taskVector == plain.taskVector)
        }
    }

    @Test func `a large β keeps Ω(τ) small`() async throws {
        let penalty = CurvaturePenalty.squaredNorm(model.base.layout)
        let free = try await task.training(recipe(steps: 20)).run(on: team())
        let bound = try await task.training(recipe(steps: 20, beta: 100), penalty: .form(penalty)).run(on: team())
        func norm(_ vector: [Float]) -> Double { vector.reduce(0) { $0 + Double($1) * Double($1) } }
        #expect(norm(bound.taskVector) < 0.2 * norm(free.taskVector))
        #expect(try #require(bound.losses.last) > (try #require(free.losses.last)))
    }

    // MARK: - What ends a training

    private func failure(of recipe: FineTuningRecipe, penalty: TrainingPenalty = .none) async -> (any Error)? {
        do {
            _ = try await task.training(recipe, penalty: penalty).run(on: team(2))
            return nil
        } catch { return error }
    }

    @Test func `a loss that is no number names the step and what to lower`() async throws {
        let found = await failure(of: recipe(steps: 5, rate: 1e38))
        #expect(
            "\(try #require(found))"
                == "task quarters: the loss is not finite at step 2 of 5. Lower the learning rate (1e+38).")
        let penalised = await failure(
            of: recipe(steps: 5, rate: 1e38, beta: 2),
            penalty: .form(CurvaturePenalty.squaredNorm(model.base.layout)))
        #expect(
            "\(try #require(penalised))" == "task quarters: the loss is not finite at step 2 of 5. "
                + "Lower the learning rate (1e+38) or β (2.0).")
    }

    @Test func `a vector that is no number after the last step is no result`() async throws {
        // 1e39 is beyond fp32, and no further step's loss would show it.
        let found = await failure(of: recipe(steps: 1, rate: 1e39))
        #expect(
            "\(try #require(found))"
                == "task quarters: the loss is not finite at step 1 of 1. Lower the learning rate (1e+39).")
    }

    @Test func `a training that is cancelled in the middle takes no further step`() async throws {
        let counted = Recorder<Int>()
        await #expect(throws: CancellationError.self) {
            try await Task {
                try await task.training(recipe(steps: 100)).run(on: team()) { step in
                    counted.append(step)
                    if step == 2 { withUnsafeCurrentTask { $0?.cancel() } }
                }
            }.value
        }
        #expect(counted.values == [1, 2])
    }
}
