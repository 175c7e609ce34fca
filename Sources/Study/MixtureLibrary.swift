import Laboratory
import ReferenceModel

/// The mixtures of all tasks' training images; those of one size are kept at a time.
actor MixtureLibrary {
    /// The images that are drawn for a penalty; they cost no storage.
    static let drawnCount = 8192

    private let inputs: StudyInputs
    private var settings: InputMixture.Settings?
    private var kept: [InputMixture] = []

    init(inputs: StudyInputs) { self.inputs = inputs }

    /// The penalty ‖J τ‖² on images that are drawn from the mixture of all tasks but one.
    ///
    /// - Throws: `LaboratoryError`.
    func penalty(
        _ settings: InputMixture.Settings, without own: Int, seed: Int
    ) throws(LaboratoryError) -> TrainingPenalty {
        let images = try mixture(settings, without: own).images(count: Self.drawnCount, seed: seed)
        return .jacobian(tokens: inputs.base.embedding.tokens(of: images), sampleCount: Self.drawnCount)
    }

    /// The mixture of all tasks but one.
    ///
    /// - Throws: `LaboratoryError`.
    func mixture(_ settings: InputMixture.Settings, without own: Int) throws(LaboratoryError) -> InputMixture {
        let mixtures = try mixtures(settings)
        return try .accumulated(mixtures.indices.filter { $0 != own }.map { mixtures[$0] })
    }

    /// The mixtures of all tasks, each of one task alone.
    ///
    /// - Throws: `LaboratoryError`.
    func mixtures(_ settings: InputMixture.Settings) throws(LaboratoryError) -> [InputMixture] {
        guard self.settings != settings else { return kept }
        var built: [InputMixture] = []
        for task in inputs.train {
            built.append(
                try InputMixture(of: task.images, width: VisionTransformerShape.pixelCount, settings: settings))
        }
        (self.settings, kept) = (settings, built)
        return built
    }
}
