public import Laboratory

/// A way to train task vectors; a study compares several.
public struct StudyMethod: Sendable, Equatable {
    /// The penalty that keeps a vector from disturbing other tasks.
    public enum Penalty: Sendable, Equatable {
        /// No penalty.
        case none
        /// A regularizer that the daemon makes from the other tasks' factors.
        case curvature(CurvatureJob.Form)
        /// A form that the lab builds from the other tasks' rows.
        case form(Contender.Form)
        /// The diagonal of the other tasks' Gauss-Newton matrices.
        case diagonal
        /// The other tasks' own inputs.
        case jacobian
        /// Images that are drawn from a mixture, which stands for the other tasks' inputs.
        case inputMixture(InputMixture.Settings)

        /// Whether the penalty is ‖J τ‖² on inputs, which has no samples and probes of factors.
        var usesInputs: Bool {
            switch self {
            case .jacobian, .inputMixture: true
            default: false
            }
        }
    }

    /// The id in results and on the command line.
    public let id: String
    /// How vectors are trained.
    public let recipe: FineTuningRecipe
    /// The penalty that keeps the vectors apart.
    public let penalty: Penalty
    /// The source of the factors.
    public let factors: FactorSource
    /// The number of blocks to which factors are reduced; nil for whole factors.
    public let blockCount: Int?
    /// The changed setting of an ablation; nil for a method of the study.
    public let setting: String?

    init(
        _ id: String, _ recipe: FineTuningRecipe, _ penalty: Penalty = .none, factors: FactorSource = FactorSource(),
        blockCount: Int? = nil, setting: String? = nil
    ) {
        self.id = id
        self.recipe = recipe
        self.penalty = penalty
        self.factors = factors
        self.blockCount = blockCount
        self.setting = setting
    }

    /// A name for files: the id, and an ablation's setting.
    public var fileName: String {
        guard let setting else { return id }
        return id + "." + setting.map { $0.isLetter || $0.isNumber ? String($0) : "-" }.joined()
    }

    /// A text of everything that affects the vectors except data, base and seed, so that two runs can be compared.
    var definition: String {
        "\(recipe), \(penalty), \(factors), blocks \(blockCount.map(String.init) ?? "none")"
    }

    /// The time of a training, relative to a linear training without a penalty.
    var relativeCost: Double {
        switch penalty {
        case .none, .diagonal: recipe.regime == .linear ? 1 : 0.7
        case .curvature(.perTask): 1.3
        case .curvature: 1.1
        case .form(.kronecker): 1.1
        case .form(.pseudoRows(let settings)): 1.2 + Double(settings.gradientRank) / 256
        case .jacobian, .inputMixture: 2
        }
    }
}

/// The number of samples and probes of a task's factors.
public struct FactorSource: Sendable, Hashable {
    /// Samples of each task.
    public var sampleCount: Int
    /// Probes of each sample.
    public var probeCount: Int

    /// A source of factors; the defaults are the study's.
    public init(sampleCount: Int = 256, probeCount: Int = 1) {
        self.sampleCount = sampleCount
        self.probeCount = probeCount
    }
}

extension StudyMethod {
    /// The methods of the study, in the order of its tables.
    ///
    /// Equation 8 is about as many times equation 7 as tasks are summed, so its β is smaller. The optimal forms have
    /// equation 8's scale. The ablations vary β.
    public static func all(stepCount: Int = 200) -> [StudyMethod] {
        func linear(_ beta: Double = 0) -> FineTuningRecipe { FineTuningRecipe(stepCount: stepCount, beta: beta) }
        return [
            StudyMethod("nonlinear", FineTuningRecipe(regime: .nonlinear, stepCount: stepCount)),
            StudyMethod("linear", linear()),
            StudyMethod("diagonal", linear(10_000), .diagonal),
            StudyMethod("tak-per-task", linear(1000), .curvature(.perTask)),
            StudyMethod("tak-accumulated", linear(100), .curvature(.accumulated)),
            StudyMethod("tak-optimal-1", linear(100), .curvature(.optimal(rank: 1))),
            StudyMethod("tak-optimal-2", linear(100), .curvature(.optimal(rank: 2))),
            StudyMethod("tau-j-p", linear(30), .jacobian),
        ]
    }

    /// The id under which `--only` names the ablations.
    public static let ablationsID = "ablations"
    /// The id under which `--only` names the post-hoc merges.
    public static let mergesID = "merges"
    /// The id under which `--only` names what can be read of images.
    public static let leaksID = "leaks"

    /// TAK with the accumulated regularizer, with one setting changed at a time.
    ///
    /// Source: the paper's section 5.
    public static func ablations(stepCount: Int = 200) -> [StudyMethod] {
        func variant(
            _ setting: String, beta: Double = 100, interval: Int = 1, factors: FactorSource = FactorSource(),
            blockCount: Int? = nil, form: CurvatureJob.Form = .accumulated, id: String = "tak-accumulated"
        ) -> StudyMethod {
            StudyMethod(
                id, FineTuningRecipe(stepCount: stepCount, beta: beta, penaltyInterval: interval), .curvature(form),
                factors: factors, blockCount: blockCount, setting: setting)
        }
        return [
            StudyMethod(
                "diagonal", FineTuningRecipe(stepCount: stepCount, beta: 100), .diagonal, setting: "β = 100"),
            variant("samples = 64", factors: FactorSource(sampleCount: 64)),
            variant("samples = 128", factors: FactorSource(sampleCount: 128)),
            variant("samples = 512", factors: FactorSource(sampleCount: 512)),
            variant("samples = 1024", factors: FactorSource(sampleCount: 1024)),
            variant("probes = 2", factors: FactorSource(probeCount: 2)),
            variant("probes = 4", factors: FactorSource(probeCount: 4)),
            variant("8 blocks on the diagonal", blockCount: 8),
            variant("every 2 steps", interval: 2),
            variant("every 5 steps", interval: 5),
            variant("every 20 steps", interval: 20),
            variant("β = 30", beta: 30),
            variant("β = 300", beta: 300),
            variant("β = 30", beta: 30, form: .optimal(rank: 1), id: "tak-optimal-1"),
            variant("β = 300", beta: 300, form: .optimal(rank: 1), id: "tak-optimal-1"),
            variant("β = 30", beta: 30, form: .optimal(rank: 2), id: "tak-optimal-2"),
            variant("β = 300", beta: 300, form: .optimal(rank: 2), id: "tak-optimal-2"),
        ]
    }
}
