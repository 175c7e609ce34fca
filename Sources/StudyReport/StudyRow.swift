/// What a row of a study measured.
public enum StudyRegime: String, Codable, Sendable, Equatable, CaseIterable {
    /// The base model alone, without any task vector.
    case pretrained
    /// Each fine-tuned model on its own task.
    case individual
    /// The sum of all task vectors, on every task.
    case addition
    /// One task vector subtracted, on its own task (target) and on the others (control).
    case negation
    /// Finished vectors, merged by a method that trained nothing.
    case merge
    /// Addition with one choice of a method changed.
    case ablation

    /// The regime's name for readers.
    public var title: String {
        switch self {
        case .pretrained: "zero-shot"
        case .individual: "own task"
        case .addition: "addition"
        case .negation: "negation"
        case .merge: "post-hoc merge"
        case .ablation: "ablation"
        }
    }
}

/// One measurement of a study: a method in a regime, for one seed and one scale α.
public struct StudyRow: Codable, Sendable, Equatable {
    /// The method's id, such as `linear` or `tak-accumulated`; an unknown one is shown as it is.
    public var method: String
    /// What was done with the vectors.
    public var regime: StudyRegime
    /// The seed of training; `nil` for what no seed changes.
    public var seed: Int?
    /// The scale of the summed or subtracted vectors; `nil` means that they were taken as they are, α = 1.
    public var alpha: Double?
    /// The strength of the regularizer.
    public var beta: Double?
    /// In percent, mean over the tasks; for negation, of the subtracted tasks.
    public var accuracy: Double
    /// Percent of each task's own single-task accuracy, averaged over the tasks.
    public var normalizedAccuracy: Double?
    /// In percent: mean accuracy of each fine-tuned model on its own task.
    public var ownCeiling: Double?
    /// For negation, in percent: mean accuracy of the tasks that were not subtracted.
    public var control: Double?
    /// In percent, by the task's name.
    public var perTask: [String: Double]
    /// How long it took to compute.
    public var seconds: Double?
    /// Whether this α was chosen, on validation images.
    public var isBestAlpha: Bool
    /// What an ablation or a merge sets, such as `samples = 64`.
    public var setting: String?
    /// What a reader must know of this row.
    public var note: String?

    /// A row; only what is measured in every regime has to be given.
    public init(
        method: String,
        regime: StudyRegime,
        seed: Int? = nil,
        alpha: Double? = nil,
        beta: Double? = nil,
        accuracy: Double,
        normalizedAccuracy: Double? = nil,
        ownCeiling: Double? = nil,
        control: Double? = nil,
        perTask: [String: Double] = [:],
        seconds: Double? = nil,
        isBestAlpha: Bool = false,
        setting: String? = nil,
        note: String? = nil
    ) {
        self.method = method
        self.regime = regime
        self.seed = seed
        self.alpha = alpha
        self.beta = beta
        self.accuracy = accuracy
        self.normalizedAccuracy = normalizedAccuracy
        self.ownCeiling = ownCeiling
        self.control = control
        self.perTask = perTask
        self.seconds = seconds
        self.isBestAlpha = isBestAlpha
        self.setting = setting
        self.note = note
    }

    private enum CodingKeys: String, CodingKey {
        case method, regime, seed, alpha, beta, accuracy, control, seconds, setting, note
        case normalizedAccuracy = "normalized_accuracy"
        case ownCeiling = "own_ceiling"
        case perTask = "per_task"
        case isBestAlpha = "is_best_alpha"
    }
}

extension StudyRow {
    /// Whether the vectors were neither stretched nor shrunk.
    var isAtUnitAlpha: Bool { abs((alpha ?? 1) - 1) < 1e-9 }
}
