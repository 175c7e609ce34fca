import ReferenceModel

/// The effect of a task vector on the features of every task's images: J τ at the base, `[samples, features]` by task.
///
/// The linearised model is linear in τ, so responses can be added and scaled like vectors.
public struct LinearResponse: Sendable {
    /// One array for each task, in the evaluation's order.
    public var tangents: [[Float]]
}

/// Measures task vectors on every task's images.
public struct Evaluation: Sendable {
    /// The tasks.
    public let tasks: [EvaluationTask]
    private let base: BaseModel
    private let team: PassTeam
    /// f(x, θ0) of each task's images.
    private let baseFeatures: [[Float]]

    /// Computes the base's features once.
    ///
    /// - Parameters:
    ///   - tasks: The tasks with their images.
    ///   - base: The pre-trained model.
    ///   - team: Computes the passes.
    public init(_ tasks: [EvaluationTask], base: BaseModel, team: PassTeam) async {
        var features: [[Float]] = []
        for task in tasks {
            features.append(
                await team.features(of: task.tokens, count: task.labels.count, at: base.parameters).features)
        }
        self.init(tasks, base: base, team: team, baseFeatures: features)
    }

    private init(_ tasks: [EvaluationTask], base: BaseModel, team: PassTeam, baseFeatures: [[Float]]) {
        self.tasks = tasks
        self.base = base
        self.team = team
        self.baseFeatures = baseFeatures
    }

    /// J τ on every task's images.
    public func response(to taskVector: [Float]) async -> LinearResponse {
        var tangents: [[Float]] = []
        for task in tasks {
            let count = task.labels.count
            tangents.append(
                await team.features(of: task.tokens, count: count, at: base.parameters, along: taskVector).tangents)
        }
        return LinearResponse(tangents: tangents)
    }

    /// Accuracy of the base alone, by task, in percent.
    public var baseAccuracies: [Double] {
        zip(tasks, baseFeatures).map { $0.head.accuracy(of: $1, labels: $0.labels) }
    }

    /// Accuracy of f(x, θ0) + α J τ, by task, in percent.
    public func accuracies(_ response: LinearResponse, alpha: Double = 1) -> [Double] {
        tasks.indices.map { accuracy(ofTask: $0, response, alpha: alpha) }
    }

    /// Accuracy of f(x, θ0) + α J τ on one task, in percent.
    public func accuracy(ofTask index: Int, _ response: LinearResponse, alpha: Double = 1) -> Double {
        tasks[index].head.accuracy(
            of: features(ofTask: index, [(Float(alpha), response)]), labels: tasks[index].labels)
    }

    /// Accuracy of f(x, θ0 + α τ), by task, in percent.
    public func nonlinearAccuracies(_ taskVector: [Float], alpha: Double = 1) async -> [Double] {
        let parameters = zip(base.parameters, taskVector).map { $0 + Float(alpha) * $1 }
        var accuracies: [Double] = []
        for task in tasks {
            let features = await team.features(of: task.tokens, count: task.labels.count, at: parameters).features
            accuracies.append(task.head.accuracy(of: features, labels: task.labels))
        }
        return accuracies
    }

    /// The mean of ‖J τ‖² over each task's images: it shows on which tasks a vector acts.
    ///
    /// Source: the task-localisation score of the paper's section 5.
    public func localisation(_ response: LinearResponse) -> [Double] {
        zip(tasks, response.tangents).map { task, tangents in
            tangents.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(task.labels.count)
        }
    }

    /// Accuracy of one vector on one task alone, in percent: what a fine-tuned model reaches on its own task.
    ///
    /// - Parameters:
    ///   - index: The task.
    ///   - taskVector: τ.
    ///   - isLinear: Whether the vector acts through f(x, θ0) + J τ. Otherwise it acts through f(x, θ0 + τ).
    /// - Returns: 0 to 100.
    public func ownAccuracy(ofTask index: Int, _ taskVector: [Float], isLinear: Bool = true) async -> Double {
        let alone = Evaluation([tasks[index]], base: base, team: team, baseFeatures: [baseFeatures[index]])
        return isLinear
            ? alone.accuracies(await alone.response(to: taskVector))[0]
            : await alone.nonlinearAccuracies(taskVector)[0]
    }

    /// How often f + α_1 J τ_1 + α_2 J τ_2 and f + α_i J τ_i predict different classes: the mean over both tasks.
    ///
    /// Source: Ortiz-Jimenez et al. 2023, the weight disentanglement error ξ(α1, α2), halved so that it is in 0...1.
    ///
    /// - Parameters:
    ///   - first: The first task's index, its response and its scale.
    ///   - second: The second task's.
    /// - Returns: Between 0 and 1.
    public func disentanglementError(
        _ first: (task: Int, response: LinearResponse, alpha: Double),
        _ second: (task: Int, response: LinearResponse, alpha: Double)
    ) -> Double {
        let both = [(Float(first.alpha), first.response), (Float(second.alpha), second.response)]
        let disagreements = [first, second].map { own in
            let head = tasks[own.task].head
            let alone = head.classes(of: features(ofTask: own.task, [(Float(own.alpha), own.response)]))
            let together = head.classes(of: features(ofTask: own.task, both))
            let differing = zip(alone, together).count { $0 != $1 }
            return Double(differing) / Double(max(1, alone.count))
        }
        return (disagreements[0] + disagreements[1]) / 2
    }

    private func features(ofTask index: Int, _ terms: [(scale: Float, response: LinearResponse)]) -> [Float] {
        var features = baseFeatures[index]
        for (scale, response) in terms {
            for place in features.indices { features[place] += scale * response.tangents[index][place] }
        }
        return features
    }
}
