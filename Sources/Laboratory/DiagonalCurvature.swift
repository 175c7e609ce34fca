import ReferenceModel

/// The diagonal of a task's Gauss-Newton matrix, estimated from probes: 1/(N M) Σ_n Σ_m (Jᵀ ε)², element by element.
///
/// The diagonal is the baseline without correlations. It needs as much storage as a task vector, and Kronecker factors
/// must be better than it.
public struct DiagonalCurvature: Sendable {
    /// The diagonal, in the layout's order.
    public let values: [Float]

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
        values = sums.map { Float($0 / count) }
    }
}
