import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

struct JointWeightsTests {
    private let joint: JointModel

    init() throws { joint = try JointModel() }

    @Test func `a side's weights are the mean squares of the other side, by layer and position`() async {
        let weights = JointWeights(await joint.rows([0, 3]))
        var pass = TransformerPass(joint.layout, sampleCapacity: 1)
        for (index, layer) in joint.layout.layers.enumerated() {
            var inputs = [Double](repeating: 0, count: weights.inputSquares[index].count)
            var gradients = inputs
            for sample in [0, 3] {
                pass.load([sample], from: joint.tokens)
                pass.forward(joint.model.base.parameters)
                for feature in 0..<6 {
                    var unused = [Float](repeating: 0, count: joint.layout.count)
                    pass.cotangent(
                        joint.model.base.parameters, of: (0..<6).map { $0 == feature ? 1 : 0 }, gradient: &unused)
                    let rows = pass.layerRows[index]
                    for place in rows.outputGradients.indices {
                        gradients[place / layer.outputWidth] += Double(rows.outputGradients[place]).squared / 2
                    }
                }
                let rows = pass.layerRows[index]
                for place in rows.inputs.indices {
                    inputs[place / layer.inputWidth] += Double(rows.inputs[place]).squared / 2
                }
            }
            if layer.biasOffset != nil { inputs = inputs.map { $0 + 1 } }
            let least = 1e-8 * Double(weights.inputSquares.joined().max() ?? 0)
            expectClose(weights.inputSquares[index], gradients.map { max($0, least) }, relative: 1e-4)
            expectClose(weights.gradientSquares[index], inputs, relative: 1e-4)
        }
        expectClose(weights.gradientSquares.last ?? [], [1.0], relative: 1e-6)
    }

    @Test func `weights of unequal parts are the mean over all their tasks`() async {
        var tasks: [JointWeights] = []
        for sample in 0..<3 { tasks.append(JointWeights(await joint.rows([sample]))) }
        let third = Float(1) / 3
        let once = JointWeights(mean: tasks, shares: [third, third, third])
        let pair = JointWeights(mean: Array(tasks[..<2]), shares: [0.5, 0.5])
        let twice = JointWeights(mean: [pair, tasks[2]], shares: [2 * third, third])
        for (found, expected) in zip(
            twice.inputSquares + twice.gradientSquares, once.inputSquares + once.gradientSquares)
        {
            expectClose(found, expected.map(Double.init), relative: 1e-5)
        }
    }

    @Test func `weights of tasks are means, and none is below a ten-thousandth of the largest`() async {
        let (first, second) = (JointWeights(await joint.rows([0])), JointWeights(await joint.rows([1])))
        let mean = JointWeights(mean: [first, second], shares: [0.5, 0.5])
        for (block, values) in mean.inputSquares.enumerated() {
            let expected = zip(first.inputSquares[block], second.inputSquares[block]).map { ($0 + $1) / 2 }
            expectClose(
                values, expected, relative: 1e-4, absolute: 2e-8 * Double(mean.inputSquares.joined().max() ?? 0))
        }
        for side in [mean.inputSquares, mean.gradientSquares] {
            let largest = side.joined().max() ?? 0
            #expect(side.joined().allSatisfy { $0 >= 0.99e-8 * largest })
        }
        // In the last block nothing but the class token reaches the feature, so the others' gradients are 0 there.
        let hidden = mean.inputSquares[joint.layout.layers.count - 2]
        expectClose(Double(hidden[1]), 1e-8 * Double(mean.inputSquares.joined().max() ?? 0), relative: 1e-5)
    }
}

extension Double {
    fileprivate var squared: Double { self * self }
}
