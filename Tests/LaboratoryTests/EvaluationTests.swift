import LinearAlgebra
import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

struct EvaluationTests {
    private let model: TinyModel
    private let tasks: [TinyTask]
    private let vectors: [[Float]]
    private let evaluation: Evaluation

    /// Makes two tasks, with more and fewer images than a shard, and two vectors that change some predicted classes.
    init() async throws {
        BLASEnvironment.setThreadCount(1)
        let model = try TinyModel()
        let tasks = [TinyTask(model, samples: 20), TinyTask(model, samples: 11, seed: 31)]
        var random = SplitMix64(seed: 9)
        let count = model.base.layout.count
        vectors = (0..<2).map { _ in random.values(count).map { Float($0) * 0.4 } }
        let evaluated = try tasks.enumerated().map { index, task in
            try EvaluationTask(name: "task\(index)", head: task.head, images: task.images, base: model.base)
        }
        evaluation = await Evaluation(
            evaluated, base: model.base, team: PassTeam(model.base.layout, laneCount: 2))
        self.model = model
        self.tasks = tasks
    }

    private func outputs(_ task: Int) -> ModelOutputs {
        ModelOutputs(model.base, tokens: tasks[task].tokens, count: tasks[task].images.count)
    }

    /// The class of each sample, computed by hand.
    private func classes(_ task: Int, _ outputs: [[Double]]) -> [Int] {
        outputs.map { output in
            let logits = tasks[task].logits(of: output)
            return logits.indices.reduce(0) { logits[$1] > logits[$0] ? $1 : $0 }
        }
    }

    private func accuracy(_ task: Int, _ outputs: [[Double]]) -> Double {
        let right = zip(classes(task, outputs), tasks[task].images.labels).count { $0 == Int($1) }
        return 100 * Double(right) / Double(tasks[task].images.count)
    }

    private func scaled(_ vector: [Float], _ alpha: Float) -> [Float] { vector.map { alpha * $0 } }

    @Test func `a response is J τ of each task's images`() async {
        let response = await evaluation.response(to: vectors[0])
        for task in tasks.indices {
            expectClose(
                response.tangents[task], Array(outputs(task).tangents(along: vectors[0]).joined()), relative: 1e-4,
                absolute: 1e-5)
        }
    }

    @Test func `the response to a sum is the sum of the responses`() async {
        let parts = [await evaluation.response(to: vectors[0]), await evaluation.response(to: vectors[1])]
        let whole = await evaluation.response(to: zip(vectors[0], vectors[1]).map { 2 * $0 - 0.5 * $1 })
        for task in tasks.indices {
            let sum = zip(parts[0].tangents[task], parts[1].tangents[task]).map { 2 * $0 - 0.5 * $1 }
            expectClose(whole.tangents[task], sum, relative: 1e-4, absolute: 1e-5)
        }
    }

    @Test(arguments: [-1, 0, 0.5, 1, 3])
    func `accuracies are those of f + α J τ`(alpha: Double) async {
        let response = await evaluation.response(to: vectors[0])
        let found = evaluation.accuracies(response, alpha: alpha)
        let expected = tasks.indices.map {
            accuracy($0, outputs($0).outputs(of: scaled(vectors[0], Float(alpha)), .linear))
        }
        #expect(found == expected)
        #expect(tasks.indices.map { evaluation.accuracy(ofTask: $0, response, alpha: alpha) } == expected)
    }

    @Test(arguments: [-1, 0, 0.5, 1, 3])
    func `non-linear accuracies are those of f(θ0 + α τ)`(alpha: Double) async {
        let found = await evaluation.nonlinearAccuracies(vectors[1], alpha: alpha)
        let expected = tasks.indices.map {
            accuracy($0, outputs($0).outputs(of: scaled(vectors[1], Float(alpha)), .nonlinear))
        }
        #expect(found == expected)
    }

    @Test func `the vectors change what is predicted, so that accuracies can differ`() async {
        let response = await evaluation.response(to: vectors[0])
        #expect(evaluation.accuracies(response, alpha: 3) != evaluation.baseAccuracies)
    }

    @Test func `at α = 0 both regimes have the base's accuracies`() async {
        let base = tasks.indices.map { accuracy($0, outputs($0).features(at: model.base.parameters)) }
        #expect(evaluation.baseAccuracies == base)
        #expect(await evaluation.nonlinearAccuracies(vectors[0], alpha: 0) == base)
        #expect(evaluation.accuracies(await evaluation.response(to: vectors[0]), alpha: 0) == base)
    }

    @Test(arguments: [true, false])
    func `a vector's own accuracy is its accuracy on the one task`(isLinear: Bool) async {
        let linear = evaluation.accuracies(await evaluation.response(to: vectors[1]))
        let expected = isLinear ? linear : await evaluation.nonlinearAccuracies(vectors[1])
        for task in tasks.indices {
            #expect(await evaluation.ownAccuracy(ofTask: task, vectors[1], isLinear: isLinear) == expected[task])
        }
    }

    @Test func `localisation is the mean of ‖J τ‖² over a task's images`() async {
        let found = evaluation.localisation(await evaluation.response(to: vectors[0]))
        let expected = tasks.indices.map { task in
            let squares = outputs(task).tangents(along: vectors[0]).joined().reduce(0) { $0 + $1 * $1 }
            return squares / Double(tasks[task].images.count)
        }
        expectClose(found, expected, relative: 1e-4)
    }

    @Test func `localisation of a response written by hand`() {
        // 20 images of 6 features. One image has the norm 3² + 4², and the other task has 0.
        var tangents = [[Float](repeating: 0, count: 120), [Float](repeating: 0, count: 66)]
        tangents[0][7] = 3
        tangents[0][8] = -4
        #expect(evaluation.localisation(LinearResponse(tangents: tangents)) == [25.0 / 20, 0])
    }

    // MARK: - Disentanglement

    private func error(_ alpha1: Double, _ alpha2: Double, swapped: Bool = false) async -> Double {
        let first = (task: 0, response: await evaluation.response(to: vectors[0]), alpha: alpha1)
        let second = (task: 1, response: await evaluation.response(to: vectors[1]), alpha: alpha2)
        return swapped
            ? evaluation.disentanglementError(second, first) : evaluation.disentanglementError(first, second)
    }

    /// The share of a task's images whose class the other vector changes.
    private func disagreement(_ task: Int, own: Float, other: Float) -> Double {
        let alone = classes(task, outputs(task).outputs(of: scaled(vectors[task], own), .linear))
        let sum = zip(vectors[task], vectors[1 - task]).map { own * $0 + other * $1 }
        let together = classes(task, outputs(task).outputs(of: sum, .linear))
        return Double(zip(alone, together).count { $0 != $1 }) / Double(alone.count)
    }

    @Test func `the error is the mean over both tasks of how often the other vector turns a class`() async {
        for (alpha1, alpha2) in [(1.0, 1.0), (-3, 2), (0.5, 3), (3, -3)] {
            let expected =
                (disagreement(0, own: Float(alpha1), other: Float(alpha2))
                    + disagreement(1, own: Float(alpha2), other: Float(alpha1))) / 2
            expectClose(await error(alpha1, alpha2), expected, absolute: 1e-12)
        }
    }

    @Test func `where the other α is 0 a task's own part is 0`() async {
        #expect(await error(0, 0) == 0)
        expectClose(await error(3, 0), disagreement(1, own: 0, other: 3) / 2, absolute: 1e-12)
        expectClose(await error(0, -3), disagreement(0, own: 0, other: -3) / 2, absolute: 1e-12)
    }

    @Test func `the error lies between 0 and 1, is symmetric, and is not always 0`() async {
        var errors: [Double] = []
        for alpha in [-3.0, -1, 0.5, 2] {
            errors.append(await error(alpha, 3))
            #expect(await error(alpha, 3, swapped: true) == errors.last)
        }
        #expect(errors.allSatisfy { (0...1).contains($0) })
        #expect(errors.contains { $0 > 0 })
    }

    // MARK: - What cannot be evaluated

    @Test(arguments: [Int32(3), -1])
    func `a label outside the head's classes is refused`(label: Int32) {
        let images = ImageSet(images: [UInt8](repeating: 0, count: 784), labels: [label])
        let found = message { () throws(LaboratoryError) in
            _ = try EvaluationTask(name: "a", head: tasks[0].head, images: images, base: model.base)
        }
        #expect(
            found == "task a: a label of \(label), but its head has 3 classes. "
                + "Give the data and the heads of the same study.")
    }
}
