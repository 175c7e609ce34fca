import Laboratory

/// The forms of all tasks that the lab builds from rows; one form and seed are kept at a time.
actor FormLibrary {
    /// The images of each task that make a codebook.
    private static let codebookSampleCount = 64

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
        let settings = KroneckerForm.Settings(oneDimensional: .sum)
        return try .accumulated(try await eachTask(source, seed) { KroneckerForm($0, settings: settings) })
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
        case .kronecker(let settings):
            return .kronecker(try await eachTask(source, seed) { KroneckerForm($0, settings: settings) })
        case .pseudoRows(let settings):
            let codebook = await codebook(settings.centroidCount, seed: seed)
            return .pseudoRows(
                try await eachTask(source, seed) { rows throws(LaboratoryError) in
                    try PseudoRows(rows, settings: settings, codebook: codebook)
                })
        }
    }

    /// Builds a form of each task.
    ///
    /// The rows of a task are large, so only one task's are in memory.
    private func eachTask<Form>(
        _ source: FactorSource, _ seed: Int, _ form: (TaskRows) throws(LaboratoryError) -> Form
    ) async throws(LaboratoryError) -> [Form] {
        var forms: [Form] = []
        for task in inputs.train { forms.append(try form(await rows(of: task, source, seed: seed))) }
        return forms
    }

    /// The codebook of some images of all tasks; nil for no centroids.
    private func codebook(_ centroidCount: Int, seed: Int) async -> PositionCodebook? {
        guard centroidCount > 0 else { return nil }
        var tasks: [TaskRows] = []
        for task in inputs.train {
            tasks.append(await rows(of: task, FactorSource(sampleCount: Self.codebookSampleCount), seed: seed))
        }
        return PositionCodebook(of: tasks, count: centroidCount)
    }

    private func rows(of task: EvaluationTask, _ source: FactorSource, seed: Int) async -> TaskRows {
        let settings = CaptureSettings(
            sampleCount: source.sampleCount, probes: .sampled(source.probeCount), seed: seed)
        let samples = settings.samples(of: task.name, in: task.labels.count)
        return await TaskRows(
            task.name, tokens: task.tokens, samples: samples, base: inputs.base, team: team, settings: settings)
    }
}
