import Laboratory

/// The forms of all tasks that the lab builds from rows; one form and seed are kept at a time.
actor FormLibrary {
    private let inputs: StudyInputs
    private let team: PassTeam
    private var key: Key?
    private var forms = TaskForms.kronecker([])

    private struct Key: Equatable {
        let form: Contender.Form
        let source: FactorSource
        let seed: Int
    }

    /// One form for each task.
    private enum TaskForms {
        case kronecker([KroneckerForm])
        case pseudoRows([PseudoRows])
    }

    init(inputs: StudyInputs, team: PassTeam) {
        self.inputs = inputs
        self.team = team
    }

    /// The form of all tasks but one.
    ///
    /// - Throws: `LaboratoryError`.
    func penalty(
        _ form: Contender.Form, without own: Int, _ source: FactorSource, seed: Int
    ) async throws(LaboratoryError) -> any QuadraticPenalty {
        let key = Key(form: form, source: source, seed: seed)
        if self.key != key {
            forms = try await build(form, source, seed: seed)
            self.key = key
        }
        switch forms {
        case .kronecker(let forms): return try Self.accumulated(forms, without: own)
        case .pseudoRows(let forms): return try Self.accumulated(forms, without: own)
        }
    }

    /// K-FAC of all tasks, with every block in the scale of a sum over tasks.
    ///
    /// - Throws: `LaboratoryError`.
    func factors(_ source: FactorSource, seed: Int) async throws(LaboratoryError) -> KroneckerForm {
        try .accumulated(try await build(KroneckerForm.Settings(oneDimensional: .sum), source, seed: seed))
    }

    private static func accumulated<Form: CurvatureForm>(
        _ forms: [Form], without own: Int
    ) throws(LaboratoryError) -> any QuadraticPenalty {
        try Form.accumulated(forms.indices.filter { $0 != own }.map { forms[$0] })
    }

    private func build(
        _ form: Contender.Form, _ source: FactorSource, seed: Int
    ) async throws(LaboratoryError) -> TaskForms {
        switch form {
        case .kronecker(let settings): return .kronecker(try await build(settings, source, seed: seed))
        case .pseudoRows(let settings): return .pseudoRows(try await build(settings, source, seed: seed))
        }
    }

    /// The rows of a task are large, so only one task's are in memory.
    private func build<Form: CurvatureForm>(
        _ settings: Form.Settings, _ source: FactorSource, seed: Int
    ) async throws(LaboratoryError) -> [Form] {
        var forms: [Form] = []
        for task in inputs.train {
            forms.append(try Form(await rows(of: task, source, seed: seed), settings: settings))
        }
        return forms
    }

    private func rows(of task: EvaluationTask, _ source: FactorSource, seed: Int) async -> TaskRows {
        let settings = CaptureSettings(
            sampleCount: source.sampleCount, probes: .sampled(source.probeCount), seed: seed)
        let samples = settings.samples(of: task.name, in: task.labels.count)
        return await TaskRows(
            task.name, tokens: task.tokens, samples: samples, base: inputs.base, team: team, settings: settings)
    }
}
