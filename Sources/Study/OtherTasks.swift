public import Laboratory
import ReferenceModel

/// The data of other tasks that some penalties need.
extension StudyInputs {
    /// The index of a task.
    ///
    /// - Throws: ``Laboratory/LaboratoryError/usage(_:)`` for an unknown task.
    public func index(of task: String) throws(LaboratoryError) -> Int {
        guard let index = taskNames.firstIndex(of: task) else {
            throw .usage("no task \"\(task)\"; there are \(taskNames.joined(separator: ", ")).")
        }
        return index
    }

    /// The mean of the other tasks' diagonals, all with equal weight.
    ///
    /// - Parameters:
    ///   - own: The task that is left out.
    ///   - source: Samples and probes of each task.
    ///   - seed: The seed of the probes.
    ///   - team: Computes the passes.
    /// - Returns: In the layout's order.
    /// - Throws: ``Laboratory/LaboratoryError/usage(_:)`` when there is no other task.
    public func diagonal(
        without own: Int, _ source: FactorSource, seed: Int, team: PassTeam
    ) async throws(LaboratoryError) -> DiagonalCurvature {
        let diagonals = await diagonals(source, seed: seed, team: team)
        return try StudyInputs.mean(of: diagonals, without: own)
    }

    /// The other tasks' training images.
    ///
    /// - Throws: ``Laboratory/LaboratoryError/usage(_:)`` when there is no other task.
    public func otherInputs(without own: Int) throws(LaboratoryError) -> TrainingPenalty {
        guard train.count > 1 else { throw .usage("the data holds one task only; this penalty needs others.") }
        let others = train.indices.filter { $0 != own }.map { train[$0] }
        return .jacobian(tokens: others.flatMap(\.tokens), sampleCount: others.reduce(0) { $0 + $1.labels.count })
    }

    /// The diagonals of all tasks.
    func diagonals(_ source: FactorSource, seed: Int, team: PassTeam) async -> [DiagonalCurvature] {
        let settings = CaptureSettings(
            sampleCount: source.sampleCount, probes: .sampled(source.probeCount), seed: seed)
        var diagonals: [DiagonalCurvature] = []
        for task in train {
            let samples = settings.samples(of: task.name, in: task.labels.count)
            diagonals.append(
                await DiagonalCurvature(
                    task.name, tokens: task.tokens, samples: samples, base: base, team: team, settings: settings))
        }
        return diagonals
    }

    static func mean(
        of diagonals: [DiagonalCurvature], without own: Int
    ) throws(LaboratoryError) -> DiagonalCurvature {
        try .accumulated(diagonals.indices.filter { $0 != own }.map { diagonals[$0] })
    }
}
