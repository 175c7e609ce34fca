import LinearAlgebra
import ReferenceModel
import TestSupport
import Testing

/// Checks the tangent against differences of the features, and the cotangent against the tangent.
///
/// Each parameter is checked alone, so that a wrong derivative cannot hide behind the others.
struct DerivativeTests {
    /// Difference quotients (f(θ + h v) − f(θ − h v)) / 2h, extrapolated from pairs of neighbours among the steps
    /// h = 0.05, 0.1 … 0.8; v is 0 outside of the range.
    ///
    /// Small steps suffer from the features' rounding, large ones from the truncated series. Which error is larger
    /// depends on the parameter.
    private func differences(
        _ model: RandomModel, _ pass: inout TransformerPass, along direction: [Float], in range: Range<Int>
    ) -> [[Double]] {
        func features(_ distance: Float) -> [Double] {
            var moved = model.parameters
            for index in range { moved[index] += distance * direction[index] }
            pass.forward(moved)
            return pass.features.map(Double.init)
        }
        let quotients = ([0.05, 0.1, 0.2, 0.4, 0.8] as [Float]).map { step in
            zip(features(step), features(-step)).map { ($0 - $1) / (2 * Double(step)) }
        }
        return zip(quotients, quotients.dropFirst()).map { near, far in
            zip(near, far).map { (4 * $0 - $1) / 3 }
        }
    }

    @Test(arguments: ModelShape.all)
    func `the tangent along each parameter is the features' difference quotient`(shape: ModelShape) throws {
        var model = try RandomModel(shape, seed: 71)
        var pass = model.pass(0..<3)
        for group in model.layout.groups where !group.name.hasSuffix("qkv.bias, keys") {
            let direction = model.direction(in: group.range)
            pass.forward(model.parameters)
            pass.tangent(model.parameters, along: direction)
            let tangent = pass.featureTangents
            let distances = differences(model, &pass, along: direction, in: group.range).map {
                relativeDistance(tangent, $0)
            }
            let distance = try #require(distances.min())
            #expect(distance < 1e-4, "\(group.name): \(distances)")
        }
    }

    /// A key's bias adds the same to all scores of a query, and the softmax ignores it.
    @Test(arguments: ModelShape.all) func `the features do not depend on the keys' biases`(shape: ModelShape) throws {
        var model = try RandomModel(shape, seed: 72)
        var pass = model.pass(0..<3)
        var gradient = [Float](repeating: 0, count: model.layout.count)
        pass.cotangent(model.parameters, of: model.numbers(model.featureCount(pass)), gradient: &gradient)
        for group in model.layout.groups where group.name.hasSuffix("qkv.bias, keys") {
            pass.tangent(model.parameters, along: model.direction(in: group.range))
            #expect(norm(pass.featureTangents) < 1e-6, "\(norm(pass.featureTangents))")
            let share = norm(gradient[group.range]) / norm(gradient)
            #expect(share < 1e-6, "\(share)")
        }
    }

    @Test(arguments: ModelShape.all, [1, 2, 5])
    func `⟨J v, u⟩ = ⟨v, Jᵀ u⟩ for each parameter and for all`(shape: ModelShape, samples: Int) throws {
        var model = try RandomModel(shape, seed: 73)
        var pass = model.pass(0..<samples)
        let cotangent = model.numbers(model.featureCount(pass))
        var gradient = [Float](repeating: 0, count: model.layout.count)
        pass.cotangent(model.parameters, of: cotangent, gradient: &gradient)
        let whole = ParameterGroup(name: "all", range: 0..<model.layout.count)
        for group in model.layout.groups + [whole] {
            let direction = group.name == whole.name ? model.direction() : model.direction(in: group.range)
            pass.tangent(model.parameters, along: direction)
            let forward = dot(pass.featureTangents, cotangent)
            let backward = dot(direction[group.range], gradient[group.range])
            // The derivative by a key's bias is only rounding. The bound is the effect of any direction of its size.
            let size = max(norm(pass.featureTangents), 0.01 * norm(direction[group.range])) * norm(cotangent)
            let distance = (forward - backward).magnitude / size
            #expect(distance < 1e-6, "\(group.name): \(forward) and \(backward)")
        }
    }

    @Test(arguments: ModelShape.all) func `features have unit length and tangents are orthogonal to them`(
        shape: ModelShape
    ) throws {
        var model = try RandomModel(shape, seed: 74)
        var pass = model.pass(0..<4)
        pass.tangent(model.parameters, along: model.direction())
        let width = model.layout.shape.featureWidth
        for sample in 0..<4 {
            let row = sample * width..<(sample + 1) * width
            expectClose(norm(pass.features[row]), 1, absolute: 3e-7)
            let along = dot(pass.features[row], pass.featureTangents[row])
            expectClose(along, 0, absolute: 1e-6 * norm(pass.featureTangents[row]))
        }
    }

    @Test(arguments: ModelShape.all)
    func `both derivatives can be taken in any order, and a gradient is added`(shape: ModelShape) throws {
        var model = try RandomModel(shape, seed: 75)
        var pass = model.pass(0..<3)
        let cotangent = model.numbers(model.featureCount(pass))
        let direction = model.direction()
        var first = [Float](repeating: 0, count: model.layout.count)
        pass.cotangent(model.parameters, of: cotangent, gradient: &first)
        pass.tangent(model.parameters, along: direction)
        let tangent = pass.featureTangents
        var second = first
        pass.cotangent(model.parameters, of: cotangent, gradient: &second)
        pass.tangent(model.parameters, along: direction)
        #expect(pass.featureTangents == tangent)
        #expect(relativeDistance(second, first.map { 2 * $0 }) < 1e-6)
    }
}
