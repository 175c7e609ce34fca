import TaskArithmetic
import TestSupport
import Testing

/// `model_stock`, `sce` and `nearswap`, with values from mergekit's own functions, run once in fp64.
struct ModelStockTests {
    private let a = [3, -1, 0.5, -2]
    private let b = [0.5, 2, -0.5, -4]

    private func merge(_ method: MergeMethod, _ arguments: [String: MergeValue] = [:]) -> VectorMerge {
        var merge = VectorMerge(method)
        merge.arguments = arguments
        return merge
    }

    @Test func `model_stock shrinks the mean by the angle, whatever the length`() throws {
        let expected = [0.828427124746, 0.414213562373]
        for scale in [1.0, 1e-4, 1e-30] {
            // mergekit's bound of 1e-6 for norms gives 0.0198 of the mean at 1e-4.
            let merged = try merge(.modelStock).run([[scale, 0], [scale, scale]])
            expectClose(merged, expected.map { $0 * scale }, relative: 1e-11)
        }
    }

    @Test func `each row can have its own angle`() throws {
        var merge = merge(.modelStock, ["filter_wise": .truth(true)])
        merge.rows = 2
        let merged = try merge.run([[1, 0, 3, 4], [1, 1, 3, 4]])
        expectClose(merged, [0.828427124746, 0.414213562373, 3, 4], relative: 1e-11)
    }

    @Test func `vectors that point apart give a large factor, or none if it is clamped`() throws {
        // By hand: c = −0.9/√0.82 and t = 2c/(1+c).
        let cosine = -0.9 / 0.82.squareRoot()
        let factor = 2 * cosine / (1 + cosine)
        expectClose(
            try merge(.modelStock).run([[1, 0], [-0.9, 0.1]]), [factor * 0.05, factor * 0.05], relative: 1e-9)
        #expect(abs(factor + 325) < 1)
        #expect(try merge(.modelStock, ["clamp": .truth(true)]).run([[1, 0], [-0.9, 0.1]]) == [0, 0])
        #expect(try merge(.modelStock).run([[1, 0], [-1, 0]]) == [0, 0])
    }

    /// Against the sum over pairs.
    @Test func `the cosine is the mean over all pairs`() throws {
        var random = SplitMix64(seed: 1)
        let models = (0..<5).map { _ in random.values(20) }
        func dot(_ left: [Double], _ right: [Double]) -> Double { zip(left, right).reduce(0) { $0 + $1.0 * $1.1 } }
        let pairs = (0..<5).flatMap { first in (0..<first).map { (models[first], models[$0]) } }
        let cosine =
            pairs.reduce(0) { $0 + dot($1.0, $1.1) / (dot($1.0, $1.0) * dot($1.1, $1.1)).squareRoot() } / 10
        let factor = 5 * cosine / (1 + 4 * cosine)
        let expected = (0..<20).map { index in factor * models.reduce(0) { $0 + $1[index] } / 5 }
        expectClose(try merge(.modelStock).run(models), expected, relative: 1e-10)
    }

    @Test(arguments: ["model_stock", "sce"])
    func `equal models give their vector, and zeros none`(name: String) throws {
        let method = try #require(MergeMethod(named: name))
        expectClose(try merge(method).run([a, a, a]), a, relative: 1e-15)
        #expect(try merge(method).run([[0, 0], [0, 0]]) == [0, 0])
    }

    // MARK: - sce

    @Test func `sce weights by energy, and selects by variance`() throws {
        expectClose(try merge(.sce).run([a, b]), [1.525179856115, 2, 0.5, -3.179856115108], relative: 1e-11)
        expectClose(
            try merge(.sce, ["select_topk": .number(0.5)]).run([a, b]), [2.254385964912, 2, 0, 0], relative: 1e-11)
    }

    @Test func `small vectors have equal weights, and equal ones no selection`() throws {
        let small = try merge(.sce).run([a, b].map { $0.map { $0 * 1e-4 } })
        expectClose(small, [1.75e-4, 2e-4, 0.5e-4, -3e-4], relative: 1e-14)
        for models in [[a], [a, a, a]] {
            #expect(try merge(.sce, ["select_topk": .number(0.5)]).run(models) == [0, 0, 0, 0])
        }
    }

    // MARK: - nearswap

    @Test func `nearswap moves by at most t`() throws {
        let merge = merge(.nearswap, ["t": .number(0.1)])
        #expect(try merge.run([[0.5, 0.05, -0.2]]) == [0.1, 0.05, -0.1])
        let error = #expect(throws: TaskArithmeticError.self) { try merge.run([a, b]) }
        #expect(error?.description == "a merge got 2 models, which its method does not take.")
    }
}
