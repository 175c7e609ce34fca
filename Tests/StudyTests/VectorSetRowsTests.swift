import StudyReport
import TestSupport
import Testing

@testable import Study

/// Three vectors on three tasks, with numbers that can be checked by eye.
struct VectorSetRowsTests {
    private let tasks = ["a", "b", "c"]
    private let own = [80.0, 50, 100]

    private let set = VectorSet(method: "m", seed: 7, beta: 30, vectors: [], seconds: 12)

    private func rows(_ set: VectorSet) -> VectorSetRows { VectorSetRows(set, own: own, tasks: tasks) }

    @Test func `alone, each vector has its own accuracy`() {
        let row = rows(set).individual
        #expect(
            row
                == StudyRow(
                    method: "m", regime: .individual, seed: 7, alpha: 1, beta: 30, accuracy: 230.0 / 3,
                    ownCeiling: 230.0 / 3, perTask: ["a": 80, "b": 50, "c": 100], seconds: 12))
    }

    @Test func `normalised accuracy is the mean of the shares of each own accuracy`() {
        let row = rows(set).addition(0.5, [40, 50, 90], isBest: true)
        #expect(row.regime == .addition && row.alpha == 0.5 && row.isBestAlpha)
        #expect(row.accuracy == 60)
        // 50 %, 100 % and 90 %.
        expectClose(row.normalizedAccuracy ?? 0, 80, relative: 1e-12)
        #expect(row.ownCeiling == 230.0 / 3)
        #expect(row.perTask == ["a": 40, "b": 50, "c": 90])
        #expect(!rows(set).addition(1, own, isBest: false).isBestAlpha)
    }

    @Test func `a task that its own vector never gets right counts as 0`() {
        let rows = VectorSetRows(set, own: [0, 50, 100], tasks: tasks)
        expectClose(
            rows.addition(1, [10, 50, 100], isBest: false).normalizedAccuracy ?? -1, 200.0 / 3, relative: 1e-12)
    }

    @Test func `subtraction has the mean of the targets, and of each vector's other tasks as control`() {
        let row = rows(set).negation(2, [[10, 60, 70], [61, 20, 71], [62, 63, 30]])
        #expect(row.regime == .negation && row.alpha == 2)
        #expect(row.accuracy == 20)
        #expect(row.perTask == ["a": 10, "b": 20, "c": 30])
        // 65, 66 and 62.5.
        expectClose(row.control ?? 0, 193.5 / 3, relative: 1e-12)
        #expect(row.normalizedAccuracy == nil && !row.isBestAlpha)
    }

    @Test func `an ablation's sum says what it sets`() {
        let set = VectorSet(method: "m", setting: "samples = 64", vectors: [])
        let row = rows(set).addition(1, own, isBest: false)
        #expect(row.regime == .ablation && row.setting == "samples = 64")
        expectClose(row.normalizedAccuracy ?? 0, 100, relative: 1e-12)
    }
}
