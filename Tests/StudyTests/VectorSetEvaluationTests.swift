import Laboratory
import LinearAlgebra
import ReferenceModel
import StudyReport
import TestSupport
import Testing

@testable import Study

struct VectorSetEvaluationTests {
    private let inputs: StudyInputs
    private let evaluation: Evaluation
    private let vectors: [[Float]]

    init() async throws {
        BLASEnvironment.setThreadCount(1)
        inputs = try TinyStudy().inputs()
        evaluation = await Evaluation(
            inputs.test, base: inputs.base, team: PassTeam(inputs.base.layout, laneCount: 1))
        var random = SplitMix64(seed: 4)
        let count = inputs.base.layout.count
        vectors = (0..<3).map { _ in random.values(count).map { Float($0) * 0.1 } }
    }

    private var set: VectorSet { VectorSet(method: "set", vectors: vectors) }

    private var sum: [Float] { zip(zip(vectors[0], vectors[1]).map(+), vectors[2]).map(+) }

    private func accuracies(
        _ vector: [Float], _ alpha: Double, isLinear: Bool, on other: Evaluation? = nil
    ) async -> [Double] {
        let evaluation = other ?? evaluation
        return isLinear
            ? evaluation.accuracies(await evaluation.response(to: vector), alpha: alpha)
            : await evaluation.nonlinearAccuracies(vector, alpha: alpha)
    }

    @Test(arguments: [true, false])
    func `a set has its vectors alone, their sum, and each subtracted`(isLinear: Bool) async throws {
        let rows = try await VectorSetEvaluation(test: evaluation).rows(
            set, isLinear: isLinear, alphas: [0.5, 2], negatedAlphas: [0.5, 2])
        #expect(rows.allSatisfy { $0.method == "set" && !$0.isBestAlpha })
        #expect(rows.map(\.regime) == [.individual, .addition, .addition, .negation, .negation])
        #expect(rows.map(\.alpha) == [1, 0.5, 2, 0.5, 2])
        var own: [Double] = []
        var targets: [Double] = []
        var controls: [Double] = []
        for (index, vector) in vectors.enumerated() {
            own.append(await accuracies(vector, 1, isLinear: isLinear)[index])
            var subtracted = await accuracies(vector, -2, isLinear: isLinear)
            targets.append(subtracted.remove(at: index))
            controls.append((subtracted[0] + subtracted[1]) / 2)
        }
        #expect(inputs.taskNames.map { rows[0].perTask[$0] } == own)
        #expect(inputs.taskNames.map { rows[4].perTask[$0] } == targets)
        expectClose(rows[4].control ?? -1, controls.reduce(0, +) / 3, relative: 1e-12)
        #expect(inputs.taskNames.map { rows[1].perTask[$0] } == (await accuracies(sum, 0.5, isLinear: isLinear)))
        expectClose(rows[1].ownCeiling ?? -1, own.reduce(0, +) / 3, relative: 1e-12)
    }

    @Test func `without scales of negation nothing is subtracted`() async throws {
        let rows = try await VectorSetEvaluation(test: evaluation).rows(set, alphas: [1])
        #expect(rows.map(\.regime) == [.individual, .addition])
    }

    @Test(arguments: [true, false])
    func `the best α is the best on the validation images`(isLinear: Bool) async throws {
        let validation = await Evaluation(
            inputs.validation, base: inputs.base, team: PassTeam(inputs.base.layout, laneCount: 1))
        let alphas = [0, 0.5, 1, 2]
        let rows = try await VectorSetEvaluation(test: evaluation, validation: validation).rows(
            set, isLinear: isLinear, alphas: alphas)
        var measured: [(alpha: Double, accuracy: Double)] = []
        for alpha in alphas {
            let accuracies = await self.accuracies(sum, alpha, isLinear: isLinear, on: validation)
            measured.append((alpha, accuracies.reduce(0, +) / 3))
        }
        #expect(rows.filter(\.isBestAlpha).map(\.alpha) == [AlphaGrid.best(measured)])
    }

    @Test func `a pair of tasks gives the plane, and none gives none`() async throws {
        let measurement = VectorSetEvaluation(test: evaluation)
        let figures = await measurement.figures(set, pair: (2, 0))
        let plane = try #require(figures.disentanglement)
        #expect([plane.firstTask, plane.secondTask] == ["gamma", "alpha"])
        let row = try #require(plane.alphas.firstIndex(of: 2))
        let column = try #require(plane.alphas.firstIndex(of: -0.5))
        let expected = evaluation.disentanglementError(
            (2, await evaluation.response(to: vectors[2]), 2), (0, await evaluation.response(to: vectors[0]), -0.5))
        #expect(plane.errors[row][column] == expected)
        #expect(await measurement.figures(set, pair: nil).disentanglement == nil)
    }

    @Test func `localisation is divided by each column's own value`() async {
        let found = await VectorSetEvaluation(test: evaluation).figures(set, pair: nil).localisation
        var scores: [[Double]] = []
        for vector in vectors { scores.append(evaluation.localisation(await evaluation.response(to: vector))) }
        for row in 0..<3 {
            expectClose(found.values[row], (0..<3).map { scores[row][$0] / scores[$0][$0] }, relative: 1e-12)
        }
    }

    @Test func `the base and a merge have a row each`() async {
        let measurement = VectorSetEvaluation(test: evaluation)
        #expect(measurement.pretrained.regime == .pretrained && measurement.pretrained.alpha == nil)
        let merge = await measurement.merged("kfac", [Float](repeating: 0, count: inputs.base.layout.count))
        #expect(merge.method == "kfac" && merge.regime == .merge && merge.alpha == 1)
        #expect(merge.perTask == measurement.pretrained.perTask)
    }
}
