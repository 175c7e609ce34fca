import LinearAlgebra
import ReferenceModel
import TestSupport

@testable import Laboratory

/// The tiny model with rows of its samples, and the same quantities sample by sample in fp64.
struct JointModel {
    let model: TinyModel
    let tokens: [Float]
    let team: PassTeam

    init(samples: Int = 8) throws {
        BLASEnvironment.setThreadCount(1)
        model = try TinyModel()
        tokens = model.tokens(samples: samples)
        team = PassTeam(model.base.layout, laneCount: 2)
    }

    var layout: ParameterLayout { model.base.layout }

    /// The rows of some samples; exact probes by default.
    func rows(_ samples: [Int], _ settings: CaptureSettings = CaptureSettings(probes: .exact)) async -> TaskRows {
        await TaskRows("a", tokens: tokens, samples: samples, base: model.base, team: team, settings: settings)
    }

    /// A vector of random elements; those of other parameters than the named ones are 0.
    func vector(seed: UInt64, only entries: [ParameterLayout.Entry]? = nil) -> [Float] {
        var random = SplitMix64(seed: seed)
        let values = random.values(layout.count).map { Float($0) }
        guard let entries else { return values }
        var masked = [Float](repeating: 0, count: values.count)
        for index in entries.flatMap(\.range) { masked[index] = values[index] }
        return masked
    }

    /// The parameters of a layer: its weight, and its bias if it has one.
    func entries(of layer: ParameterLayout.Layer) -> [ParameterLayout.Entry] {
        layout.entries.filter { [layer.name + ".weight", layer.name + ".bias"].contains($0.name) }
    }

    /// The mean of ‖J τ‖² over samples: the exact joint Gauss-Newton form.
    func exact(_ samples: [Int], _ vector: [Float]) -> Double {
        let tangents = ModelOutputs(model.base, tokens: tokens, count: (samples.max() ?? 0) + 1)
            .tangents(along: vector)
        return samples.reduce(0) { sum, sample in
            sum + tangents[sample].reduce(0) { $0 + $1 * $1 }
        } / Double(samples.count)
    }

    /// The mean over pairs of samples i and j, and the sum over features, of (Σ_ℓ Σ_p g_jᵀ Δ a_i + Σ_p g_jᵀ δ)².
    ///
    /// It takes each sample's rows from a pass of its own, and sums in fp64.
    func pairs(_ samples: [Int], _ vector: [Float]) -> Double {
        var pass = TransformerPass(layout, sampleCapacity: 1)
        var inputs: [[[Float]]] = []
        var gradients: [(layers: [[Float]], vectors: [String: [Float]])] = []
        for sample in samples {
            pass.load([sample], from: tokens)
            pass.forward(model.base.parameters)
            inputs.append(pass.layerRows.map { Array($0.inputs) })
            for feature in 0..<6 {
                var unused = [Float](repeating: 0, count: layout.count)
                pass.cotangent(model.base.parameters, of: (0..<6).map { $0 == feature ? 1 : 0 }, gradient: &unused)
                gradients.append(
                    (
                        pass.layerRows.map { Array($0.outputGradients) },
                        Dictionary(uniqueKeysWithValues: pass.vectorRows.map { ($0.name, Array($0.gradients)) })
                    ))
            }
        }
        var sum = 0.0
        for input in inputs {
            for gradient in gradients {
                let drift = drift(input, gradient.layers, gradient.vectors, vector)
                sum += drift * drift
            }
        }
        return sum / Double(samples.count * samples.count)
    }

    private func drift(
        _ inputs: [[Float]], _ gradients: [[Float]], _ vectors: [String: [Float]], _ vector: [Float]
    ) -> Double {
        var sum = 0.0
        for (index, layer) in layout.layers.enumerated() {
            for position in 0..<inputs[index].count / layer.inputWidth {
                for row in 0..<layer.outputWidth {
                    var output = layer.biasOffset.map { Double(vector[$0 + row]) } ?? 0
                    for column in 0..<layer.inputWidth {
                        output +=
                            Double(vector[layer.weight.offset + row * layer.inputWidth + column])
                            * Double(inputs[index][position * layer.inputWidth + column])
                    }
                    sum += Double(gradients[index][position * layer.outputWidth + row]) * output
                }
            }
        }
        for entry in layout.vectors {
            for (place, index) in entry.range.enumerated() {
                sum += Double(vectors[entry.name]?[place] ?? .nan) * Double(vector[index])
            }
        }
        return sum
    }
}

extension QuadraticPenalty {
    /// Ω(τ).
    func value(at vector: [Float]) -> Double {
        var gradient = [Float](repeating: 0, count: vector.count)
        var scratch = PenaltyScratch()
        return addGradient(at: vector, scale: 1, to: &gradient, scratch: &scratch)
    }

    /// ∇Ω(τ).
    func gradient(at vector: [Float]) -> [Float] {
        var gradient = [Float](repeating: 0, count: vector.count)
        var scratch = PenaltyScratch()
        _ = addGradient(at: vector, scale: 1, to: &gradient, scratch: &scratch)
        return gradient
    }

    /// The smallest and the largest eigenvalue of the form's matrix.
    func extremeEigenvalues(_ layout: ParameterLayout) throws -> (Double, Double) {
        var elements: [Double] = []
        var unit = [Float](repeating: 0, count: layout.count)
        for index in unit.indices {
            unit[index] = 1
            elements += gradient(at: unit).map { Double($0) / 2 }
            unit[index] = 0
        }
        let matrix = try Matrix<Double>(rows: layout.count, columns: layout.count, elements: elements)
        let values = try SymmetricEigen(decomposing: matrix).values
        return (values.first ?? .nan, values.last ?? .nan)
    }
}
