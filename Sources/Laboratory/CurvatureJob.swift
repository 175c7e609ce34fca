public import SystemPackage

/// What the lab asks of the daemon: factors and regularizers from captures, or merges from finished factors.
///
/// A value of the keys of a job file that the study varies; the rest keeps the daemon's defaults.
public struct CurvatureJob: Equatable, Sendable {
    /// Where a task's curvature comes from.
    public enum Curvature: Equatable, Sendable {
        /// A capture file, to be reduced to factors.
        case captures(FilePath)
        /// Finished factors: a file, or a directory that holds `factors.safetensors`.
        case factors(FilePath)
    }

    /// A task of the job.
    public struct Model: Equatable, Sendable {
        /// The task's name.
        public var name: String
        /// The fine-tuned checkpoint θ_t; nil for a task that only enters regularizers.
        public var checkpoint: FilePath?
        /// The task's curvature; nil for one that is only merged.
        public var curvature: Curvature?

        /// A task of the job.
        public init(name: String, checkpoint: FilePath? = nil, curvature: Curvature? = nil) {
            self.name = name
            self.checkpoint = checkpoint
            self.curvature = curvature
        }
    }

    /// How checkpoints are merged, by its name in a job file.
    public enum Method: String, CaseIterable, Sendable {
        /// Σ Δ_t.
        case taskArithmetic = "task_arithmetic"
        /// Their mean.
        case weightedAverage = "weighted_average"
        /// The closed form under accumulated factors.
        case kfac
    }

    /// How a regularizer sums the factors of tasks.
    public enum Form: Equatable, Sendable {
        /// Equation 8.
        case accumulated
        /// The nearest sum of so many Kronecker products.
        case optimal(rank: Int)
        /// Equation 7.
        case perTask
    }

    /// What B is divided by.
    public enum Scale: String, CaseIterable, Sendable {
        /// Nothing.
        case paper
        /// The number of summed tasks.
        case mean
    }

    /// For whom regularizers are made.
    public enum Targets: Equatable, Sendable {
        /// One for each task, without it.
        case leaveOneOut
        /// One of all tasks.
        case all
        /// Those of some tasks, each without it.
        case tasks([String])
    }

    /// A regularizer of the job.
    public struct Regularizer: Equatable, Sendable {
        /// How factors are summed.
        public var form: Form
        /// What B is divided by.
        public var scale: Scale
        /// For whom.
        public var targets: Targets

        /// Asks for regularizers.
        public init(form: Form = .accumulated, scale: Scale = .paper, targets: Targets = .leaveOneOut) {
            self.form = form
            self.scale = scale
            self.targets = targets
        }
    }

    /// What a job writes, by its name in a job file.
    public enum Output: String, CaseIterable, Sendable {
        /// The factors of each task.
        case factors
        /// The regularizer of each target.
        case regularizer
        /// The inverses of each target.
        case inverses
        /// The merged checkpoint.
        case merged
        /// The report.
        case report
    }

    /// The base checkpoint θ0.
    public var baseModel: FilePath
    /// The tasks, in the order of every sum.
    public var models: [Model]
    /// How checkpoints are merged; without checkpoints it has no effect.
    public var method: Method
    /// `expand`, `reduce` or `tak`: what factors are divided by.
    public var normalization: String
    /// γ of the damping `relative`: a share of the mean eigenvalue.
    public var damping: Double
    /// The regularizers; of no effect unless ``outputs`` has them.
    public var regularizer: Regularizer
    /// What is written.
    public var outputs: Set<Output>
    /// Receives the outputs; the job file stands beside it, since an output holds no input.
    public var directory: FilePath

    /// A job.
    ///
    /// - Parameters:
    ///   - baseModel: The base checkpoint.
    ///   - models: The tasks, in the order of every sum.
    ///   - method: How checkpoints are merged.
    ///   - normalization: What factors are divided by.
    ///   - damping: γ, relative to the mean eigenvalue.
    ///   - regularizer: The regularizers.
    ///   - outputs: What is written.
    ///   - directory: Receives the outputs; those of an earlier job there are replaced.
    public init(
        baseModel: FilePath, models: [Model], method: Method = .taskArithmetic, normalization: String = "expand",
        damping: Double = 0.1, regularizer: Regularizer = Regularizer(),
        outputs: Set<Output> = [.factors, .regularizer, .report], directory: FilePath
    ) {
        self.baseModel = baseModel
        self.models = models
        self.method = method
        self.normalization = normalization
        self.damping = damping
        self.regularizer = regularizer
        self.outputs = outputs
        self.directory = directory
    }

    // MARK: - Where the outputs are

    /// The job file.
    public var jobFile: FilePath {
        directory.removingLastComponent().appending("\(directory.lastComponent?.string ?? "job").yaml")
    }
    /// The report.
    public var report: FilePath { directory.appending("report.json") }
    /// The merged checkpoint of a base that is a single file.
    public var merged: FilePath { directory.appending("merged").appending("model.safetensors") }

    /// The directory of a task's factors, which the next job can name as its curvature.
    public func factors(of task: String) -> FilePath { directory.appending("factors").appending(task) }

    /// The regularizer of a target, which is the task that it leaves out, or `all`.
    public func regularizer(for target: String) -> FilePath {
        directory.appending("regularizer").appending(target).appending("regularizer.safetensors")
    }
}
