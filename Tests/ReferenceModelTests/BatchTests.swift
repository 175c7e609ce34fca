import LinearAlgebra
import ReferenceModel
import TestSupport
import Testing

/// A batch gives each sample the same result as alone, and the rows of a capture add up to the gradient.
struct BatchTests {
    /// The allowed rounding difference: BLAS sums a batch of another size in another order.
    private static let rounding = 2e-6

    private struct Results {
        let features: [Float]
        let tangents: [Float]
        let gradient: [Float]
        let pass: TransformerPass

        /// All results of a pass for its samples.
        init(_ pass: TransformerPass, _ model: RandomModel, _ direction: [Float], _ cotangent: [Float]) {
            var pass = pass
            let count = model.featureCount(pass)
            features = Array(pass.features[..<count])
            pass.tangent(model.parameters, along: direction)
            tangents = Array(pass.featureTangents[..<count])
            var gradient = [Float](repeating: 0, count: model.layout.count)
            pass.cotangent(model.parameters, of: cotangent, gradient: &gradient)
            self.gradient = gradient
            self.pass = pass
        }
    }

    /// Rows of one of `samples` samples.
    private func part(_ rows: ArraySlice<Float>, _ sample: Int, of samples: Int) -> ArraySlice<Float> {
        let count = rows.count / samples
        return rows[(rows.startIndex + sample * count)..<(rows.startIndex + (sample + 1) * count)]
    }

    @Test(arguments: ModelShape.all)
    func `a sample's results do not depend on the batch`(shape: ModelShape) throws {
        var model = try RandomModel(shape, seed: 81)
        let batch = [4, 0, 5, 2, 2]
        let width = model.layout.shape.featureWidth
        let direction = model.direction()
        let cotangent = model.numbers(batch.count * width)
        let together = Results(model.pass(batch), model, direction, cotangent)
        for (place, sample) in batch.enumerated() {
            let row = place * width..<(place + 1) * width
            let alone = Results(model.pass([sample]), model, direction, Array(cotangent[row]))
            #expect(relativeDistance(together.features[row], alone.features) < Self.rounding)
            #expect(relativeDistance(together.tangents[row], alone.tangents) < Self.rounding)
            for (all, own) in zip(together.pass.layerRows, alone.pass.layerRows) {
                let inputs = relativeDistance(part(all.inputs, place, of: batch.count), own.inputs)
                #expect(inputs < Self.rounding, "\(own.layer.name): \(inputs)")
                let gradients = relativeDistance(
                    part(all.outputGradients, place, of: batch.count), own.outputGradients)
                #expect(gradients < Self.rounding, "\(own.layer.name): \(gradients)")
            }
            for (all, own) in zip(together.pass.vectorRows, alone.pass.vectorRows) {
                let distance = relativeDistance(part(all.gradients, place, of: batch.count), own.gradients)
                #expect(distance < Self.rounding, "\(own.name): \(distance)")
            }
        }
    }

    @Test(arguments: ModelShape.all, [1, 4])
    func `the samples' gradients of vectors add up to the gradient`(shape: ModelShape, samples: Int) throws {
        var model = try RandomModel(shape, seed: 82)
        let cotangent = model.numbers(samples * model.layout.shape.featureWidth)
        let found = Results(model.pass(0..<samples), model, model.direction(), cotangent)
        for (rows, entry) in zip(found.pass.vectorRows, model.layout.vectors) {
            var sum = [Double](repeating: 0, count: entry.count)
            for (index, value) in rows.gradients.enumerated() { sum[index % entry.count] += Double(value) }
            let distance = relativeDistance(found.gradient[entry.range], sum)
            #expect(distance < Self.rounding, "\(entry.name): \(distance)")
        }
    }

    @Test(arguments: ModelShape.all, [1, 4])
    func `a layer's rows make the gradients of its weight and bias`(shape: ModelShape, samples: Int) throws {
        var model = try RandomModel(shape, seed: 83)
        let cotangent = model.numbers(samples * model.layout.shape.featureWidth)
        let found = Results(model.pass(0..<samples), model, model.direction(), cotangent)
        for rows in found.pass.layerRows {
            let (inputs, outputs) = (rows.layer.inputWidth, rows.layer.outputWidth)
            let (x, g) = (Array(rows.inputs), Array(rows.outputGradients))
            var weight = [Double](repeating: 0, count: outputs * inputs)
            var bias = [Double](repeating: 0, count: outputs)
            for row in 0..<samples * rows.rowsPerSample {
                for output in 0..<outputs {
                    let gradient = Double(g[row * outputs + output])
                    bias[output] += gradient
                    for input in 0..<inputs {
                        weight[output * inputs + input] += gradient * Double(x[row * inputs + input])
                    }
                }
            }
            let block = rows.layer.weight
            let distance = relativeDistance(found.gradient[block.offset..<block.offset + weight.count], weight)
            #expect(distance < Self.rounding, "\(rows.layer.name): \(distance)")
            guard let offset = rows.layer.biasOffset else { continue }
            let biasDistance = relativeDistance(found.gradient[offset..<offset + outputs], bias)
            #expect(biasDistance < Self.rounding, "\(rows.layer.name): \(biasDistance)")
        }
    }

    @Test(arguments: ModelShape.all)
    func `rows have the shapes that a capture needs`(shape: ModelShape) throws {
        var model = try RandomModel(shape, seed: 84)
        let samples = 3
        let cotangent = model.numbers(samples * model.layout.shape.featureWidth)
        let pass = Results(model.pass(0..<samples, capacity: 5), model, model.direction(), cotangent).pass
        #expect(pass.sampleCount == samples)
        #expect(pass.layerRows.map(\.layer) == model.layout.layers)
        for rows in pass.layerRows {
            let rowsPerSample = rows.layer.name == "lin_proj" ? 1 : model.layout.shape.positionCount
            #expect(rows.rowsPerSample == rowsPerSample)
            #expect(rows.inputs.count == samples * rowsPerSample * rows.layer.inputWidth)
            #expect(rows.outputGradients.count == samples * rowsPerSample * rows.layer.outputWidth)
        }
        #expect(pass.vectorRows.map(\.name) == model.layout.vectors.map(\.name))
        #expect(pass.vectorRows.allSatisfy { $0.gradients.count == samples * shape.width })
    }

    @Test(arguments: ModelShape.all)
    func `a larger batch, though it were NaN, leaves no trace in a smaller one`(shape: ModelShape) throws {
        var model = try RandomModel(shape, seed: 85)
        let width = model.layout.shape.featureWidth
        let direction = model.direction()
        let cotangent = model.numbers(2 * width)
        let fresh = Results(model.pass([1, 3], capacity: 4), model, direction, cotangent)

        var used = TransformerPass(model.layout, sampleCapacity: 4)
        used.load(0..<4, from: [Float](repeating: .nan, count: model.tokens.count))
        used.forward(model.parameters)
        used = Results(used, model, direction, [Float](repeating: .nan, count: 4 * width)).pass
        #expect(used.features.allSatisfy { $0.isNaN })
        used.load([1, 3], from: model.tokens)
        used.forward(model.parameters)
        let found = Results(used, model, direction, cotangent)

        #expect(found.features == fresh.features)
        #expect(found.tangents == fresh.tangents)
        #expect(found.gradient == fresh.gradient)
        #expect(found.pass.layerRows.map(\.inputs) == fresh.pass.layerRows.map(\.inputs))
        #expect(found.pass.layerRows.map(\.outputGradients) == fresh.pass.layerRows.map(\.outputGradients))
        #expect(found.pass.vectorRows.map(\.gradients) == fresh.pass.vectorRows.map(\.gradients))
    }
}
