import Laboratory
import ReferenceModel
import StudyReport

/// Measures for each task what others can read of its images from what it shares.
struct LeakStudy: Sendable {
    let inputs: StudyInputs
    let team: PassTeam

    /// The ranks of the measured pseudo-rows: inputs, gradients.
    private static let ranks = [(32, 128), (64, 256)]
    /// The most public images of each other task.
    private static let publicCount = 300

    /// The measurements of all owners.
    ///
    /// - Throws: `LaboratoryError`, or `CancellationError`.
    func figures(seed: Int) async throws -> [LeakFigure] {
        guard inputs.train.count > 1 else {
            throw LaboratoryError.usage(
                "the leak of images is measured with public images of other tasks; the data holds one task only.")
        }
        let forms = try await forms(seed: seed)
        let everyone = try PseudoRows.accumulated(forms)
        var figures: [LeakFigure] = []
        for owner in inputs.train.indices {
            try Task.checkCancellation()
            let samples = samples(ofTask: owner, seed: seed)
            let captured = await images(ofTask: owner, samples.captured, seed: seed)
            let heldOut = await images(ofTask: owner, samples.heldOut, seed: seed)
            let measurement = try LeakMeasurement(
                captured: captured, heldOut: heldOut, known: await publicInputs(without: owner), base: inputs.base)
            let shared = try Self.shared(
                captured.rows, everyone: everyone, another: forms[(owner + 1) % forms.count])
            for (name, shared) in shared {
                figures.append(
                    LeakFigure(
                        try measurement.leak(of: shared), shared: name, owner: inputs.train[owner].name, seed: seed,
                        showsImages: owner == 0))
            }
        }
        return figures
    }

    /// What an owner may share, from everything to nothing.
    private static func shared(
        _ rows: TaskRows, everyone: PseudoRows, another: PseudoRows
    ) throws(LaboratoryError) -> [(String, SharedInputs)] {
        var shared: [(String, SharedInputs)] = [("raw rows", .rows(rows))]
        for ranks in ranks.reversed() {
            for mixing in [false, true] {
                shared.append(
                    (
                        name(ranks) + (mixing ? ", mixed" : ""),
                        .pseudoRows(try PseudoRows(rows, settings: settings(ranks, mixing: mixing)))
                    ))
            }
        }
        shared.append(("\(name(ranks[0])), of all tasks together", .pseudoRows(everyone)))
        shared.append(("K-FAC’s A", .factors(KroneckerForm(rows, settings: .init()))))
        shared.append(("\(name(ranks[0])), of another task", .pseudoRows(another)))
        return shared
    }

    private static func name(_ ranks: (Int, Int)) -> String { "pseudo-rows \(ranks.0) × \(ranks.1)" }

    /// The floor is K-FAC's, which is measured by itself.
    private static func settings(_ ranks: (Int, Int), mixing: Bool = false) -> PseudoRows.Settings {
        PseudoRows.Settings(inputRank: ranks.0, gradientRank: ranks.1, floor: .none, mixing: mixing)
    }

    /// The pseudo-rows of each task; the rows of a task are large, so only one task's are in memory.
    private func forms(seed: Int) async throws -> [PseudoRows] {
        var forms: [PseudoRows] = []
        for task in inputs.train.indices {
            try Task.checkCancellation()
            let captured = await images(ofTask: task, samples(ofTask: task, seed: seed).captured, seed: seed)
            forms.append(try PseudoRows(captured.rows, settings: Self.settings(Self.ranks[0])))
        }
        return forms
    }

    /// The captured samples, and as many others of the same task.
    private func samples(ofTask task: Int, seed: Int) -> (captured: [Int], heldOut: [Int]) {
        let (name, available) = (inputs.train[task].name, inputs.train[task].labels.count)
        let count = min(FactorSource().sampleCount, available / 2)
        let captured = CaptureSettings(sampleCount: count, seed: seed).samples(of: name, in: available)
        let taken = Set(captured)
        var random = SeededRandom(seed: seed, purpose: "held-out samples of \(name)")
        let others = (0..<available).filter { !taken.contains($0) }.shuffled(using: &random)
        return (captured, others.prefix(count).sorted())
    }

    private func images(ofTask task: Int, _ samples: [Int], seed: Int) async -> LeakMeasurement.Samples {
        let task = inputs.train[task]
        let settings = CaptureSettings(sampleCount: samples.count, seed: seed)
        return LeakMeasurement.Samples(
            rows: await TaskRows(
                task.name, tokens: task.tokens, samples: samples, base: inputs.base, team: team, settings: settings),
            images: task.pixels(of: samples))
    }

    private func publicInputs(without owner: Int) async -> FirstLayerInputs {
        var parts: [FirstLayerInputs] = []
        for (task, other) in inputs.train.enumerated() where task != owner {
            parts.append(await FirstLayerInputs(other, count: Self.publicCount, base: inputs.base, team: team))
        }
        return FirstLayerInputs(joining: parts)
    }
}

extension LeakFigure {
    init(_ leak: ImageLeak, shared: String, owner: String, seed: Int, showsImages: Bool) {
        self.init(
            shared: shared, owner: owner, seed: seed, nearest: Comparison(leak.nearest),
            largest: Comparison(leak.largest), fitted: Comparison(leak.fitted), membership: leak.membership,
            recovered: showsImages
                ? Recovered(
                    side: VisionTransformerShape.imageSide, images: leak.recoveries.flatMap(\.image),
                    readings: leak.recoveries.flatMap(\.recovered)) : nil)
    }
}

extension LeakFigure.Comparison {
    init(_ comparison: ImageLeak.Comparison) {
        self.init(captured: comparison.captured, heldOut: comparison.heldOut)
    }
}
