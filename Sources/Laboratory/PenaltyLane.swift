import Lanes

/// Evaluates a quadratic form on a thread of its own, in parallel with the batch's passes.
actor PenaltyLane {
    private let lane = Lane("penalty")
    private let penalty: TrainingPenalty
    private var gradient: [Float]
    private var scratch = PenaltyScratch()

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(_ penalty: TrainingPenalty, count: Int) {
        self.penalty = penalty
        gradient = [Float](repeating: 0, count: count)
    }

    /// scale · ∇Ω(τ); empty for penalties that are computed from samples.
    func gradient(at vector: [Float], scale: Float) -> [Float] {
        switch penalty {
        case .none, .jacobian: return []
        case .form(let penalty):
            for index in gradient.indices { gradient[index] = 0 }
            _ = penalty.addGradient(at: vector, scale: scale, to: &gradient, scratch: &scratch)
        }
        return gradient
    }
}
