public import SystemPackage
public import TaskArithmetic

/// A job of the lab for the daemon: factors and regularizers from captures, or merges from finished factors.
///
/// The value holds the keys of a job file that the study varies. The other keys keep the daemon's defaults.
public struct CurvatureJob: Equatable, Sendable {
    /// The source of a task's curvature.
    public enum Curvature: Equatable, Sendable {
        /// A capture file, from which factors are computed.
        case captures(FilePath)
        /// Finished factors: a file, or a directory with `factors.safetensors`.
        case factors(FilePath)
    }

    /// A task of the job.
    public struct Model: Equatable, Sendable {
        /// The task's name.
        public var name: String
        /// The fine-tuned checkpoint θ_t; nil for a task that only contributes to regularizers.
        public var checkpoint: FilePath?
        /// The task's curvature; nil for a task that is only merged.
        public var curvature: Curvature?

        /// A task of the job.
        public init(name: String, checkpoint: FilePath? = nil, curvature: Curvature? = nil) {
            self.name = name
            self.checkpoint = checkpoint
            self.curvature = curvature
        }
    }

    /// How a regularizer sums the factors of tasks.
    public enum Form: Equatable, Sendable {
        /// Equation 8.
        case accumulated
        /// The nearest sum of this number of Kronecker products.
        case optimal(rank: Int)
        /// Equation 7.
        case perTask
    }

    /// The divisor of B.
    public enum Scale: String, CaseIterable, Sendable {
        /// B is not divided.
        case paper
        /// The number of summed tasks.
        case mean
    }

    /// The targets of the regularizers.
    public enum Targets: Equatable, Sendable {
        /// One for each task, made from the others.
        case leaveOneOut
        /// One of all tasks.
        case all
        /// One for each of some tasks, made from the others.
        case tasks([String])
    }

    /// A regularizer of the job.
    public struct Regularizer: Equatable, Sendable {
        /// How factors are summed.
        public var form: Form
        /// The divisor of B.
        public var scale: Scale
        /// The targets.
        public var targets: Targets

        /// Describes regularizers.
        public init(form: Form = .accumulated, scale: Scale = .paper, targets: Targets = .leaveOneOut) {
            self.form = form
            self.scale = scale
            self.targets = targets
        }
    }

    /// An output of a job, by its name in a job file.
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
    /// The merge method; it has no effect without checkpoints.
    public var method: MergeMethod
    /// `expand`, `reduce` or `tak`: the divisor of the factors.
    public var normalization: String
    /// γ of the damping `relative`: a share of the mean eigenvalue.
    public var damping: Double
    /// The regularizers; they have no effect unless ``outputs`` includes them.
    public var regularizer: Regularizer
    /// The outputs.
    public var outputs: Set<Output>
    /// The directory of the outputs; the job file is beside it, because an output directory must not contain an input.
    public var directory: FilePath

    /// A job.
    ///
    /// - Parameters:
    ///   - baseModel: The base checkpoint.
    ///   - models: The tasks, in the order of every sum.
    ///   - method: The merge method.
    ///   - normalization: The divisor of the factors.
    ///   - damping: γ, relative to the mean eigenvalue.
    ///   - regularizer: The regularizers.
    ///   - outputs: The outputs.
    ///   - directory: The directory of the outputs. The outputs of an earlier job there are replaced.
    public init(
        baseModel: FilePath, models: [Model], method: MergeMethod = .taskArithmetic, normalization: String = "expand",
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

    /// The directory of a task's factors; the next job can use it as the task's curvature.
    public func factors(of task: String) -> FilePath { directory.appending("factors").appending(task) }

    /// The regularizer of a target: the task that it leaves out, or `all`.
    public func regularizer(for target: String) -> FilePath {
        directory.appending("regularizer").appending(target).appending("regularizer.safetensors")
    }
}
