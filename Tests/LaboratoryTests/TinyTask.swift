import Foundation
import ReferenceModel
import TestSupport

@testable import Laboratory

/// A task of three classes that a model can learn: the images of a class have one bright quarter.
struct TinyTask {
    let base: BaseModel
    let head: ClassHead
    let images: ImageSet

    /// Makes a task with this number of images; classes alternate.
    init(_ model: TinyModel, samples: Int, seed: UInt64 = 11) {
        var random = SplitMix64(seed: seed)
        base = model.base
        head = ClassHead(weights: random.values(3 * 6).map { Float($0) * 2 }, classCount: 3, featureWidth: 6)
        var pixels: [UInt8] = []
        for sample in 0..<samples {
            for row in 0..<28 {
                for column in 0..<28 {
                    let isBright = row / 14 * 2 + column / 14 == sample % 3
                    pixels.append(UInt8(truncatingIfNeeded: random.next() % 100) + (isBright ? 150 : 0))
                }
            }
        }
        images = ImageSet(images: pixels, labels: (0..<samples).map { Int32($0 % 3) })
    }

    var tokens: [Float] { base.embedding.tokens(of: images.images) }

    func training(
        _ recipe: FineTuningRecipe, penalty: TrainingPenalty = .none, seed: Int = 0, labels: [Int32]? = nil
    ) -> FineTuning {
        FineTuning(
            task: "quarters", base: base, head: head, tokens: tokens, labels: labels ?? images.labels, recipe: recipe,
            penalty: penalty, seed: seed)
    }

    /// The mean cross-entropy at τ, computed in fp64 from the features of one sample at a time.
    func loss(at vector: [Float], _ regime: FineTuningRecipe.Regime) -> Double {
        let features = ModelOutputs(base, tokens: tokens, count: images.count).outputs(of: vector, regime)
        let losses = zip(features, images.labels).map { feature, label in
            let logits = logits(of: feature)
            return log(logits.reduce(0) { $0 + exp($1) }) - logits[Int(label)]
        }
        return losses.reduce(0, +) / Double(losses.count)
    }

    /// The logits of one feature.
    func logits(of feature: [Double]) -> [Double] {
        (0..<head.classCount).map { row in
            feature.indices.reduce(0.0) { $0 + Double(head.weights[row * feature.count + $1]) * feature[$1] }
        }
    }
}

/// The results of a model for some samples, each in a pass of its own: without batches, shards or threads.
struct ModelOutputs {
    private let base: BaseModel
    private let tokens: [Float]
    private let count: Int

    init(_ base: BaseModel, tokens: [Float], count: Int) {
        self.base = base
        self.tokens = tokens
        self.count = count
    }

    /// f + J τ, or f(θ0 + τ), of each sample.
    func outputs(of vector: [Float], _ regime: FineTuningRecipe.Regime) -> [[Double]] {
        switch regime {
        case .linear:
            return zip(features(at: base.parameters), tangents(along: vector)).map { zip($0, $1).map(+) }
        case .nonlinear:
            return features(at: zip(base.parameters, vector).map(+))
        }
    }

    func features(at parameters: [Float]) -> [[Double]] {
        each { pass in
            pass.forward(parameters)
            return pass.features
        }
    }

    /// J τ at the base.
    func tangents(along vector: [Float]) -> [[Double]] {
        each { pass in
            pass.forward(base.parameters)
            pass.tangent(base.parameters, along: vector)
            return pass.featureTangents
        }
    }

    private func each(_ body: (inout TransformerPass) -> [Float]) -> [[Double]] {
        var pass = TransformerPass(base.layout, sampleCapacity: 1)
        return (0..<count).map { sample in
            pass.load([sample], from: tokens)
            return body(&pass).prefix(base.layout.shape.featureWidth).map(Double.init)
        }
    }
}

extension CurvaturePenalty {
    /// ‖τ‖²: every factor and block is the identity, and the terms' weights add up to 1.
    static func squaredNorm(_ layout: ParameterLayout, termCount: Int = 1) -> CurvaturePenalty {
        func square(_ side: Int) -> [Float] { (0..<side * side).map { $0 % (side + 1) == 0 ? 1 : 0 } }
        let weight = 1 / Float(termCount)
        let layers = layout.layers.flatMap { layer in
            (0..<termCount).map { _ in
                LayerTerm(
                    layer: layer, weight: weight, input: square(layer.inputWidth + (layer.biasOffset == nil ? 0 : 1)),
                    gradient: square(layer.outputWidth))
            }
        }
        let vectors = layout.vectors.map { VectorTerm(entry: $0, weight: 1, block: square($0.count)) }
        return CurvaturePenalty(layers: layers, vectors: vectors)
    }
}
