import ReferenceModel

/// The diagonal of a task's Gauss-Newton matrix, estimated from probes: 1/(N M) Σ_n Σ_m (Jᵀ ε)², element by element.
///
/// The diagonal is the baseline without correlations. It needs as much storage as a task vector, and Kronecker factors
/// must be better than it.
public struct DiagonalCurvature: Sendable {
    /// The diagonal, in the layout's order.
    public let values: [Float]
    /// The number of tasks whose mean it is.
    let taskCount: Int

    /// A known diagonal.
    init(values: [Float], taskCount: Int = 1) {
        self.values = values
        self.taskCount = taskCount
    }

    /// Estimates the diagonal.
    ///
    /// - Parameters:
    ///   - task: The task's name, for the probes' seed.
    ///   - tokens: `[all samples, positions, width]`.
    ///   - samples: The samples' numbers.
    ///   - base: The model. The Jacobian is taken at its parameters.
    ///   - team: Computes the passes.
    ///   - settings: Probes and seed, as for a capture.
    public init(
        _ task: String, tokens: [Float], samples: [Int], base: BaseModel, team: PassTeam, settings: CaptureSettings
    ) async {
        let parameters = base.parameters
        let featureWidth = base.layout.shape.featureWidth
        let probeCount = settings.probeCount(featureWidth: featureWidth)
        let shards = await team.map(samples.count) { workspace, _, places in
            var squares = [Double](repeating: 0, count: parameters.count)
            var gradient = [Float](repeating: 0, count: parameters.count)
            var direction = [Float](repeating: 0, count: featureWidth)
            for place in places {
                let sample = samples[place...place]
                workspace.load(sample, from: tokens)
                workspace.pass.forward(parameters)
                var directions = ProbeDirections(settings, task: task, samples: sample, featureWidth: featureWidth)
                for _ in 0..<probeCount {
                    for index in gradient.indices { gradient[index] = 0 }
                    directions.next(into: &direction)
                    workspace.pass.cotangent(parameters, of: direction, gradient: &gradient)
                    for index in squares.indices { squares[index] += Double(gradient[index]) * Double(gradient[index]) }
                }
            }
            return squares
        }
        var sums = [Double](repeating: 0, count: parameters.count)
        for shard in shards {
            for index in sums.indices { sums[index] += shard[index] }
        }
        let count = Double(max(1, samples.count * probeCount))
        self.init(values: sums.map { Float($0 / count) })
    }
}

extension DiagonalCurvature: CurvatureForm {
    /// The diagonal of one task from its rows: 1/(N M) Σ_n Σ_m (Σ_p g aᵀ)², element by element.
    public init(_ rows: TaskRows, settings: Void) {
        let joint = rows.rows
        var diagonal = [Float](repeating: 0, count: joint.layout.parameterCount)
        for (index, block) in joint.layout.blocks.enumerated() {
            let (inputs, outputs) = (block.inputWidth, block.outputWidth)
            var product = [Float](repeating: 0, count: outputs * inputs)
            var squares = product
            for row in 0..<joint.gradientCount {
                rows.gradient(ofRow: row, block: index, into: &product)
                for element in product.indices { squares[element] += product[element] * product[element] }
            }
            block.scatter(squares, scale: Float(rows.sampleCount), addingTo: &diagonal)
        }
        self.init(values: diagonal)
    }

    /// The mean over the tasks of all forms, each task with equal weight.
    ///
    /// - Throws: ``LaboratoryError/usage(_:)`` for no form.
    public static func accumulated(_ forms: [Self]) throws(LaboratoryError) -> Self {
        guard let first = forms.first else { throw .noOtherTask }
        let total = forms.reduce(0) { $0 + $1.taskCount }
        var sum = [Float](repeating: 0, count: first.values.count)
        for form in forms {
            let weight = Float(form.taskCount) / Float(total)
            for index in sum.indices { sum[index] += weight * form.values[index] }
        }
        return Self(values: sum, taskCount: total)
    }

    /// Adds scale · ∇Ω(τ) = scale · 2 d ∘ τ, and returns Ω(τ) = Σ d τ².
    public func addGradient(
        at vector: [Float], scale: Float, to gradient: inout [Float], scratch: inout PenaltyScratch
    ) -> Double {
        var value = 0.0
        for index in values.indices {
            gradient[index] += 2 * scale * values[index] * vector[index]
            value += Double(values[index]) * Double(vector[index]) * Double(vector[index])
        }
        return value
    }

    /// One element for each parameter.
    public var storedElementCount: Int { values.count }
}
