public import Identifiers
public import KroneckerFactors
public import LinearAlgebra
public import TaskArithmetic
public import UnitOperations

/// The user's request: a job file, checked for form but not yet against the files that it names.
///
/// Source: DESIGN section 1. A superset of mergekit's configuration.
public struct JobSpec: Equatable, Sendable {
    /// The merge method.
    public var method: MergeMethod
    /// Path of the base checkpoint θ_0, as written.
    ///
    /// Under `linear` without a base it is the path of the first model, which then gives the merge's layout.
    public var baseModel: Located<String>
    /// The tasks in the file's order, which is also the order of every sum.
    public var tasks: [TaskSpec]
    /// The base's own entry among the models.
    ///
    /// It is not a task; under methods that average it counts with its weight.
    public var listedBase: TaskSpec?
    /// Parameters of the method for all tasks.
    public var parameters: MergeParameters
    /// The slices of the layers, to which parameters may refer; empty where the job lists whole models.
    public var slices: [LayerSlice] = []
    /// Element type of the merged checkpoint; each tensor keeps the base's type when absent.
    public var outputType: ElementType?
    /// Whether NaN and infinity in checkpoints are merged and counted, or refused.
    public var nonFinite = NonFiniteValues.refuse
    /// The settings for curvature.
    public var curvature: CurvatureSpec
    /// The files to write.
    public var outputs: Set<JobOutput>
    /// Path of the output directory, as written.
    public var output: Located<String>
    /// Name of the job file, for messages.
    public var fileName: String
    /// Patterns of tensors that are not merged but copied from the base.
    public var ignored: [Located<String>] = []
    /// The allowed differences between the models' configurations.
    public var allowedDifferences: AllowedDifferences = .none
    /// How the merged checkpoint is written.
    public var checkpoint = CheckpointSpec()
    /// The models that may equal the base.
    public var allowedUnchanged: AllowedUnchanged = .none
    /// Whether a gate and its partner that one weight holds are merged as two matrices.
    public var splitsFused = false
    /// What becomes of tensors that models have in another shape than the base.
    public var mismatchedShapes = MismatchedShapes.refuse
    /// The tokenizer of the merged checkpoint; `nil` for the base's, without a comparison of vocabularies.
    public var tokenizer: TokenizerSpec?
    /// The remarks found while reading the file.
    public var notices: [JobNotice] = []

    /// Whether the job names a base, and not only the first model gives the layout.
    public var isBaseGiven: Bool { listedBase?.model != baseModel }
    /// Whether the base is the origin of the models' vectors, under methods for which it is no model itself.
    public var isBaseOrigin: Bool { method.base == .origin && isBaseGiven }
    /// Whether the merge reads factors: the method needs them, or takes them and every merged task has some.
    public var mergesWithFactors: Bool {
        guard outputs.contains(.merged) else { return false }
        guard !method.needsFactors else { return true }
        return canMergeWithFactors && !mergedTasks.isEmpty && mergedTasks.allSatisfy(\.hasCurvature)
    }
    /// Whether the merge reads factors as fp64.
    var mergesInDouble: Bool { curvature.precision?.value == .float64 && mergesWithFactors }
    /// Whether the merge would read factors if every merged task had some.
    var canMergeWithFactors: Bool { outputs.contains(.merged) && method.scope.takesFactors(parameters.words) }
    /// The tasks with curvature, in the file's order.
    public var curvedTasks: [TaskSpec] { tasks.filter(\.hasCurvature) }
    /// The tasks with a checkpoint, in the file's order.
    public var mergedTasks: [TaskSpec] { tasks.filter { $0.model != nil } }
}

/// A value and its place in the job file.
public struct Located<Value: Equatable & Sendable>: Equatable, Sendable {
    /// The value.
    public var value: Value
    /// `job.yaml:line:column`.
    public var location: String

    /// Combines a value with its place.
    public init(_ value: Value, at location: String) {
        self.value = value
        self.location = location
    }
}

/// One task of a job: a model entry of the file.
public struct TaskSpec: Equatable, Sendable {
    /// The task's name; by default the last component of the checkpoint's path.
    public var name: TaskName
    /// `job.yaml:line:column` of the entry.
    public var location: String
    /// Path of the fine-tuned checkpoint; `nil` for a task that is only in the regularizer.
    public var model: Located<String>?
    /// Patterns of capture files.
    public var captures: [Located<String>]
    /// Path of a finished factor set, or patterns of files of partial sums.
    public var factors: [Located<String>]
    /// The entries that give the names of the task's files those of the base, in the order of their application.
    public var renames: [RenameRule] = []
    /// Weight w_t in λ_t of equation 8; `nil` for the sample count.
    public var curvatureWeight: Double?
    /// Parameters of this task, which take precedence over the job's.
    public var parameters: MergeParameters

    /// Whether the task has curvature, from captures or as factors.
    public var hasCurvature: Bool { !captures.isEmpty || !factors.isEmpty }
}

/// Everything under the `kfac` key.
public struct CurvatureSpec: Equatable, Sendable {
    /// Patterns of the layers and parameters that get factors; `nil` for all that the captures hold.
    public var layers: [Located<String>]?
    /// The declared layouts of layers' weights, by patterns.
    public var layouts: [LayoutPattern] = []
    /// Patterns of the factors of which only the diagonal is made.
    public var diagonals: [Located<String>] = []
    /// The convention of A and B.
    public var normalization: FactorNormalization = .tak
    /// Whether the job file states the convention; otherwise given factors state it.
    public var isNormalizationGiven = false
    /// Damping of inverses and of the `kfac` merge.
    public var damping = DampingSpec()
    /// The precision in which merges read factors; `nil` for fp32.
    public var precision: Located<FactorPrecision>?
    /// The regularizer's form, scale and targets.
    public var regularizer = RegularizerSpec()
    /// The groups of layers and parameters with a strength of their own in the regularizer; the first that matches
    /// counts.
    public var groups: [PenaltyGroup] = []
    /// Whether probes are basis vectors, one for each output; their products are summed, not averaged.
    public var hasExactProbes = false
    /// Whether the report holds the interference matrix.
    public var measuresInterference = true
    /// How the report identifies inputs.
    public var inputDigests: InputDigests?
    /// What becomes of layers in which a task has no curvature.
    public var missingCurvature = MissingCurvature.refuse
    /// Whether factor files hold packed triangles rather than full squares.
    public var storesPackedTriangles = false
    /// The compressed form of matrices in factor and regularizer files; `nil` for exact ones.
    public var compression: CompressionSpec?

    /// Whether most matrices of files are full squares.
    public var writesSquares: Bool { !storesPackedTriangles && compression == nil }
}

/// How matrices are compressed in files.
///
/// Source: DESIGN section 3.
public struct CompressionSpec: Equatable, Sendable {
    /// The form of all matrices but diagonals, which stay as they are.
    public var form: CompressedForm
    /// Whether a matrix that is not semi-definite after decoding gets a shift of its diagonal.
    public var repairs = false
    /// Where the job file names the form.
    public var location: String

    /// Describes a compression.
    public init(form: CompressedForm, repairs: Bool = false, location: String) {
        self.form = form
        self.repairs = repairs
        self.location = location
    }
}

/// The regularizers to assemble, and their form.
///
/// Source: DESIGN section 2.2.
public struct RegularizerSpec: Equatable, Sendable {
    /// The regularizer's form.
    public enum Form: String, Equatable, Sendable, Codable, CaseIterable {
        /// Eq.
        ///
        /// 8: factors are summed; the cost does not grow with the number of tasks.
        case accumulated
        /// The best sum of a few Kronecker products for eq.
        ///
        /// 7, made of combinations of the tasks' factors.
        case optimal
        /// Eq. 7: every task's factors, weighted.
        case perTask = "per_task"
        /// Pseudo-rows over all layers, and a floor of the accumulated factors.
        case pseudoRows = "pseudo_rows"
    }

    /// The sums to form.
    public enum Targets: Equatable, Sendable {
        /// For each task, the sum over all others.
        case leaveOneOut
        /// One sum over all tasks.
        case all
        /// For each named task, the sum over all others.
        case named([Located<TaskName>])
    }

    /// The regularizer's form.
    public var form: Form = .accumulated
    /// Kronecker products of each layer for the form ``Form/optimal``; 1 when absent.
    public var rank: Located<Int>?
    /// The settings of the form ``Form/pseudoRows``.
    public var jointRows = JointRowsSpec()
    /// The scale of the accumulated or optimal B, or of the pseudo-rows' gradients.
    public var scale: RegularizerScale = .paper
    /// How layers are balanced with each other.
    public var balance: LayerBalance = .none
    /// How full blocks are summed over tasks.
    public var oneDimensional: OneDimensionalSum = .mean
    /// The sums to form.
    public var targets: Targets = .leaveOneOut

    /// The number of Kronecker products in a layer's sum; `nil` for the per-task form, which has no sum.
    ///
    /// Those of pseudo-rows are their floor.
    public var termCount: Int? {
        switch form {
        case .accumulated: 1
        case .optimal: rank?.value ?? 1
        case .perTask: nil
        case .pseudoRows: jointRows.floor == .none ? 0 : 1
        }
    }
}

/// The treatment of NaN and infinity in checkpoints.
public enum NonFiniteValues: String, Equatable, Sendable, Codable, CaseIterable {
    /// They are an error; the message names file, tensor and element.
    case refuse
    /// They pass through sums by the rules of IEEE 754, and the report counts them.
    case allow
}

/// The outputs that a job can write.
///
/// Source: DESIGN section 3.
public enum JobOutput: String, Hashable, Sendable, Codable, CaseIterable {
    /// `factors/<task>/`.
    case factors
    /// `regularizer/<target>/`.
    case regularizer
    /// `inverses/<target>/`.
    case inverses
    /// `merged/`.
    case merged
    /// `report.json`, and `report.html` for people.
    case report
}

/// How the report identifies the input files.
public enum InputDigests: String, Equatable, Sendable, Codable, CaseIterable {
    /// SHA-256 of the whole file, which is read once more during the work.
    case content
    /// SHA-256 of the header, with size and modification time; no file is read twice.
    case header
}
