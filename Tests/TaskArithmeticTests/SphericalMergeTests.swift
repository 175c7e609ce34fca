import TaskArithmetic
import TestSupport
import Testing

/// Methods that interpolate or average directions.
///
/// Unless a test says otherwise, expected values are from mergekit's own functions, run once in fp64.
struct SphericalMergeTests {
    private func merge(
        _ method: MergeMethod, _ arguments: [String: MergeValue] = [:], weights: [Double] = [], rows: Int = 1
    ) -> VectorMerge {
        var merge = VectorMerge(method)
        (merge.arguments, merge.weights, merge.rows) = (arguments, weights, rows)
        return merge
    }

    // MARK: - nuslerp

    @Test func `nuslerp takes a tensor, its rows or its columns as vectors`() throws {
        let models: [[Double]] = [[1, 0, 0, 2], [1, 1, 2, 0]]
        let root = 2.0.squareRoot()
        let flat = try merge(.nuslerp, rows: 2).run(models)
        expectClose(flat, [1.300471384695, 0.650235692347, 1.300471384695, 1.300471384695], relative: 1e-11)
        let rows = try merge(.nuslerp, ["nuslerp_flatten": .truth(false)], rows: 2).run(models)
        expectClose(rows, [1.0823922003, 0.5411961001, root, root], relative: 1e-9)
        let columns = try merge(
            .nuslerp, ["nuslerp_flatten": .truth(false), "nuslerp_row_wise": .truth(true)], rows: 2
        ).run(models)
        expectClose(columns, [1.1755705046, 0.7071067812, 1.1755705046, root], relative: 1e-9)
    }

    /// By hand: mergekit's fp32 takes the sine of π for a direction, and gives 0.68.
    @Test func `opposite vectors are interpolated linearly`() throws {
        expectClose(try merge(.nuslerp, weights: [0.7, 0.3]).run([[1, 0], [-1, 0]]), [0.4, 0], absolute: 1e-15)
    }

    @Test func `weights that cancel meet halfway`() throws {
        let halfway = try merge(.nuslerp).run([[1, 0], [0, 1]])
        #expect(try merge(.nuslerp, weights: [1, -1]).run([[1, 0], [0, 1]]) == halfway)
    }

    /// By hand: a shift of everything shifts the result.
    @Test(arguments: ["nuslerp", "multislerp"])
    func `an origin is taken off before, and added after`(name: String) throws {
        let method = try #require(MergeMethod(named: name))
        let plain = try merge(method, weights: [0.25, 0.75]).run([[1, 0], [1, 1]])
        var moved = merge(method, weights: [0, 0.25, 0.75])
        moved.hasOrigin = true
        #expect(try moved.run([[8, -4], [9, -4], [9, -3]]) == [plain[0] + 8, plain[1] - 4])
        // Models of no weight are not read.
        moved.weights = [0, 1]
        expectClose(try moved.run([[8, -4], [9, -3]]), [9, -3], relative: 1e-15)
        #expect(try moved.run([[8, -4]]) == [8, -4])
    }

    // MARK: - multislerp

    @Test func `multislerp takes one step from the mean direction`() throws {
        let two = try merge(.multislerp, weights: [0.75, 0.25]).run([[1, 0], [1, 1]])
        expectClose(two, [1.084009744431, 0.206767888874], relative: 1e-7)
        let three = try merge(.multislerp).run([[1, 0, 0], [0, 1, 0], [0, 0, 2]])
        expectClose(three, [0.7698003576, 0.7698003576, 0.7698003576], relative: 1e-7)
    }

    @Test func `a model opposite to the mean makes no step, whatever rounding makes of its angle`() throws {
        // Of three directions on a line two agree: the mean length in their direction.
        let one = try merge(.karcher).run([[0.83984375], [-0.94921875], [-0.56640625]])
        expectClose(one, [-0.78515625], relative: 1e-12)
        var random = SplitMix64(seed: 11)
        for _ in 0..<20 {
            let vector = random.values(64)
            let opposite = vector.map { -2.5 * $0 }
            // The first direction, with the mean of both lengths.
            expectClose(try merge(.karcher).run([vector, opposite]), vector.map { 1.75 * $0 }, absolute: 1e-6)
            expectClose(
                try merge(.multislerp).run([vector, opposite]), vector.map { -0.75 * $0 }, absolute: 1e-12)
        }
    }

    @Test func `directions that cancel but for rounding are averaged`() throws {
        let first = [-1.8443924188613892, 0.08611337840557098, -0.05741961672902107]
        let second = [5.407654210099224, -0.2524795528970074, 0.16835106725208782]
        expectClose(
            try merge(.multislerp).run([first, second]), zip(first, second).map { ($0 + $1) / 2 }, relative: 1e-12)
    }

    @Test func `two directions that cancel are averaged, and more are refused`() throws {
        // By hand.
        #expect(try merge(.multislerp).run([[1, 0], [-3, 0]]) == [-1, 0])
        let angles = [(1.0, 0.0), (-0.5, 0.75.squareRoot()), (-0.5, -(0.75.squareRoot()))]
        let error = #expect(throws: TaskArithmeticError.self) {
            try merge(.multislerp).run(angles.map { [$0.0, $0.1] })
        }
        #expect(
            error?.description
                == "the weighted directions of the models sum to zero, so they have no mean; expected others. Change a "
                + "weight, or copy the base's tensor with \"ignore\".")
        #expect(throws: TaskArithmeticError.weightsCancel) {
            try merge(.multislerp, weights: [1, -1]).run([[1, 0], [0, 1]])
        }
        // Not divided, opposite weights of equal directions cancel too.
        let undivided = merge(.multislerp, ["normalize_weights": .truth(false)], weights: [1, -1])
        #expect(try undivided.run([[1, 0], [3, 0]]) == [-2, 0])
    }

    // MARK: - karcher

    @Test func `karcher takes the mean direction and the mean length`() throws {
        expectClose(try merge(.karcher).run([[1, 0], [1, 1]]), [1.11522120764, 0.461939753882], relative: 1e-5)
        expectClose(try merge(.karcher).run([[0, 0], [3, 4]]), [1.5, 2], relative: 1e-15)
        #expect(try merge(.karcher).run([[0, 0], [0, 0]]) == [0, 0])
        // By hand: three axes have the diagonal between them.
        let axes = try merge(.karcher).run([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
        expectClose(axes, [Double](repeating: (1.0 / 3).squareRoot(), count: 3), relative: 1e-12)
    }

    /// By hand: the first of three directions at 120° is a point where the others' pulls cancel.
    @Test func `directions that cancel begin at the first`() throws {
        let height = 0.75.squareRoot()
        let merged = try merge(.karcher).run([[1, 0], [-0.5, height], [-0.5, -height]])
        expectClose(merged, [1, 0], absolute: 1e-12)
    }

    // MARK: - Laws

    @Test(arguments: ["nuslerp", "multislerp", "karcher"])
    func `equal models stay, and so does one alone`(name: String) throws {
        let method = try #require(MergeMethod(named: name))
        let model = [3, -1, 0.5, -2]
        expectClose(try merge(method).run([model, model]), model, relative: 1e-15)
        expectClose(try merge(method).run([model]), model, relative: 1e-15)
        let zeros = [0.0, 0]
        #expect(try merge(method).run([zeros, zeros]) == zeros)
    }
}
