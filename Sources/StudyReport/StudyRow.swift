/// The kind of measurement in a row.
public enum StudyRegime: String, Codable, Sendable, Equatable, CaseIterable {
    /// The base model alone, without any task vector.
    case pretrained
    /// Each fine-tuned model on its own task.
    case individual
    /// The sum of all task vectors, on every task.
    case addition
    /// One task vector subtracted, measured on its own task (target) and on the others (control).
    case negation
    /// Finished vectors, merged by a method without training.
    case merge
    /// Addition with one setting of a method changed.
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
    /// The method's id, such as `linear` or `tak-accumulated`; an unknown id is shown unchanged.
    public var method: String
    /// The use of the vectors.
    public var regime: StudyRegime
    /// The seed of training; `nil` when the seed changes nothing.
    public var seed: Int?
    /// The scale of the summed or subtracted vectors; `nil` means α = 1.
    public var alpha: Double?
    /// The strength of the regularizer.
    public var beta: Double?
    /// The mean over the tasks, in percent; for negation, the mean over the subtracted tasks.
    public var accuracy: Double
    /// The mean over the tasks, in percent of each task's own single-task accuracy.
    public var normalizedAccuracy: Double?
    /// The mean accuracy of each fine-tuned model on its own task, in percent.
    public var ownCeiling: Double?
    /// For negation: the mean accuracy of the tasks that were not subtracted, in percent.
    public var control: Double?
    /// The accuracy in percent, by the task's name.
    public var perTask: [String: Double]
    /// The time of the computation.
    public var seconds: Double?
    /// Whether this α was chosen on validation images.
    public var isBestAlpha: Bool
    /// The setting of an ablation or a merge, such as `samples = 64`.
    public var setting: String?
    /// A note for the reader of this row.
    public var note: String?

    /// A row; only values that every regime measures are required.
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
    /// Whether the vectors were not scaled.
    var isAtUnitAlpha: Bool { abs((alpha ?? 1) - 1) < 1e-9 }
}
