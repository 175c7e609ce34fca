import Foundation
import Laboratory
import TestSupport
import Testing

struct FineTuningRecipeTests {
    private func rates(_ recipe: FineTuningRecipe) -> [Double] {
        (0..<recipe.stepCount).map(recipe.learningRate(atStep:))
    }

    @Test func `the learning rate is half a cosine over all steps, times a linear rise`() {
        let found = rates(FineTuningRecipe(stepCount: 6, learningRate: 8, warmUpShare: 0.5))
        // 4 (1 + cos(k π / 6)) for k = 0 ... 5. The first three are multiplied by a third, two thirds and one.
        let root3 = 3.0.squareRoot()
        let rise = [8 / 3.0, 4 * (1 + root3 / 2) * 2 / 3, 4 * 1.5]
        expectClose(found, rise + [4, 2, 4 * (1 - root3 / 2)], relative: 1e-12)
    }

    @Test func `the study's schedule peaks after a tenth of the steps and ends near 0`() {
        let found = rates(FineTuningRecipe())
        #expect(found.count == 200)
        #expect(found[0] == 1e-3 / 20)
        #expect(found.max() == found[19])
        expectClose(found[19], 0.5e-3 * (1 + cos(19 * Double.pi / 200)), relative: 1e-12)
        expectClose(found[100], 0.5e-3, relative: 1e-12)
        #expect(found[199] > 0 && found[199] < 1e-7)
        #expect(zip(found[19...], found[20...]).allSatisfy { $0 > $1 })
    }

    @Test func `without a warm-up the first step has the peak`() {
        #expect(rates(FineTuningRecipe(stepCount: 1, learningRate: 3)) == [3])
        #expect(rates(FineTuningRecipe(stepCount: 2, learningRate: 3, warmUpShare: 0))[0] == 3)
    }

    @Test func `a warm-up may last for all steps`() {
        let root2 = 2.0.squareRoot()
        expectClose(
            rates(FineTuningRecipe(stepCount: 4, learningRate: 8, warmUpShare: 1)),
            [2, 2 * (1 + root2 / 2), 3, 4 * (1 - root2 / 2)], relative: 1e-12)
    }

    @Test func `the non-linear regime has a smaller learning rate unless one is given`() {
        #expect(FineTuningRecipe().learningRate == 1e-3)
        #expect(FineTuningRecipe(regime: .nonlinear).learningRate == 5e-4)
        #expect(FineTuningRecipe(regime: .nonlinear, learningRate: 1).learningRate == 1)
    }
}
