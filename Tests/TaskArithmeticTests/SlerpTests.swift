import TaskArithmetic
import TestSupport
import Testing

/// Interpolation on the sphere, with values from mergekit's own function, run once.
struct SlerpTests {
    private func merged(_ base: [Double], _ model: [Double], at share: Double) throws -> [Double] {
        var merge = VectorMerge(.slerp)
        merge.arguments = ["t": .number(share)]
        return try merge.run([base, model])
    }

    @Test func `the way between has a steady angle`() throws {
        expectClose(try merged([1, 0], [1, 1], at: 0.25), [1.06159433767, 0.275899379283], relative: 1e-11)
    }

    @Test func `nearly parallel tensors are interpolated linearly`() throws {
        expectClose(try merged([1, 0], [1, 0.03], at: 0.25), [1, 0.0075], relative: 1e-15)
        let bent = try merged([1, 0], [1, 0.033], at: 0.25)
        expectClose([bent[0] - 1, bent[1] - 0.033 / 4], [1.0203e-4, 1.403e-6], relative: 1e-3)
        // Opposite ones too.
        expectClose(try merged([1, 0], [-1, 0], at: 0.3), [0.4, 0], absolute: 1e-15)
    }

    @Test func `the ends are the base and the model, and equal tensors stay`() throws {
        let (base, model) = ([3, -1, 0.5], [0.25, 2, -4])
        #expect(try merged(base, model, at: 0) == base)
        #expect(try merged(base, model, at: 1) == model)
        #expect(try merged(base, base, at: 0.3) == base)
    }

    @Test func `a tensor of zeros stands at a right angle`() throws {
        // By hand: sin(π/6) of the model at a third of the way.
        expectClose(try merged([0, 0], [3, 4], at: 1.0 / 3), [1.5, 2], relative: 1e-14)
    }

    @Test func `only the base and one model have a way between them`() throws {
        var merge = VectorMerge(.slerp)
        merge.arguments = ["t": .number(0.5)]
        let error = #expect(throws: TaskArithmeticError.self) { try merge.run([[1], [2], [3]]) }
        #expect(error?.description == "a merge got 3 models, which its method does not take.")
        merge.arguments = [:]
        #expect(throws: TaskArithmeticError.self) { try merge.run([[1], [2]]) }
    }
}
