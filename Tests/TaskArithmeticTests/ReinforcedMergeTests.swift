import TaskArithmetic
import TestSupport
import Testing

/// `arcee_fusion`, `ram` and `ramplus_tl`.
struct ReinforcedMergeTests {
    private func merge(_ method: MergeMethod, _ arguments: [String: MergeValue] = [:], rows: Int = 1) -> VectorMerge {
        var merge = VectorMerge(method)
        (merge.arguments, merge.modelArguments, merge.rows) = (arguments, [arguments], rows)
        return merge
    }

    // MARK: - ram

    /// By hand: the models share the first element, and each moves one of the next two alone.
    private let vectors: [[Double]] = [[3, 2, 0, 1e-6], [1, 0, -4, -1e-6]]

    @Test func `ram averages what models share and keeps what one moves`() throws {
        #expect(try merge(.ram).run(vectors) == [2, 2, -4, 0])
        #expect(try merge(.ram, ["epsilon": .number(1)]).run(vectors) == [3, 2, -4, 0])
        #expect(try merge(.ram, ["epsilon": .number(0)]).run(vectors) == [2, 2, -4, 0])
        #expect(try merge(.ram).run([vectors[0]]) == [3, 2, 0, 0])
    }

    /// By hand: each model shares one element and moves one alone, so the ratio 1 is cut to α.
    @Test func `ramplus_tl strengthens what one model moves alone`() throws {
        expectClose(try merge(.ramPlus).run(vectors), [2, 2 * 1.02, -4 * 1.02, 0], relative: 1e-15)
        let strong = merge(.ramPlus, ["r": .number(0.5), "alpha": .number(3)])
        expectClose(try strong.run(vectors), [2, 2 * 1.5, -4 * 1.5, 0], relative: 1e-15)
        // The first model shares two elements and moves one alone, and the second moves none alone.
        expectClose(try strong.run([[1, 1, 1], [1, 1, 0]]), [1, 1, 2], relative: 1e-15)
        #expect(try merge(.ramPlus, ["r": .number(0)]).run(vectors) == [2, 2, -4, 0])
    }

    @Test func `what is not a number is not lost`() throws {
        #expect(try merge(.ram).run([[.nan, 1], [0, 0]])[0].isNaN)
    }

    // MARK: - arcee_fusion

    /// mergekit's formula, computed by numpy in fp64: the importance of element 5 alone is above 0.004387.
    @Test func `arcee_fusion takes what stands out, row by row`() throws {
        let base: [Double] = [0, 0, 0, 1, 2, 3]
        let model: [Double] = [0.1, 0, 0.3, 1, 1, 3.5]
        #expect(try merge(.arceeFusion, rows: 2).run([base, model]) == [0, 0, 0, 1, 1, 3.5])
    }

    @Test func `arcee_fusion keeps equal models`() throws {
        let base: [Double] = [1, -2, 0.5]
        #expect(try merge(.arceeFusion).run([base, base]) == base)
        #expect(try merge(.arceeFusion).run([[4], [7]]) == [7])
    }

    /// Values far apart make probabilities that fp64 holds only as 0.
    @Test func `arcee_fusion survives rows whose softmax is one element`() throws {
        let merged = try merge(.arceeFusion).run([[0, 2000, -3000, 1], [2000, 0, -3000, 1]])
        #expect(merged.filter { !$0.isFinite } == [])
    }
}
