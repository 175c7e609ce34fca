public import Identifiers
public import KroneckerFactors
public import LinearAlgebra
public import TaskArithmetic
public import UnitOperations

/// What a user asks for: a job file, read and checked for form, not yet held against the files that it names.
///
/// Source: DESIGN section 1. A superset of mergekit's configuration.
public struct JobSpec: Equatable, Sendable {
    /// The merge method, by its name in the file.
    public var method: MergeMethod
    /// Path of the base checkpoint θ_0, as written; under `linear` without a base that of the first model, whose layout
    /// the merge then has.
    public var baseModel: Located<String>
    /// The tasks, in the file's order, which is the order of every sum.
    public var tasks: [TaskSpec]
    /// The base's own entry among the models, which is no task: under methods that average it counts with its weight.
    public var listedBase: TaskSpec?
    /// Parameters for all tasks (`weight`, `normalize`, `lambda`).
    public var parameters: MergeParameters
    /// Element type of the merged checkpoint; the base's, tensor by tensor, when absent.
    public var outputType: ElementType?
    /// Whether NaN and infinity in checkpoints are merged as they are, and counted, rather than refused.
    public var nonFinite = NonFiniteValues.refuse
    /// What concerns the curvature.
    public var curvature: CurvatureSpec
    /// What to write.
    public var outputs: Set<JobOutput>
    /// Path of the output directory, as written.
    public var output: Located<String>
    /// Name of the job file, for messages.
    public var fileName: String
    /// Patterns of tensors that are not merged: they stay the base's.
    public var ignored: [Located<String>] = []
    /// Which differences between the models' configurations are allowed.
    public var allowedDifferences: AllowedDifferences = .none
    /// What the reading of the file found that a person should know.
    public var notices: [JobNotice] = []
}

/// A value and where in the job file it stands.
public struct Located<Value: Equatable & Sendable>: Equatable, Sendable {
    /// The value.
    public var value: Value
    /// `job.yaml:line:column`.
    public var location: String

    /// Remembers where a value stands.
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
    /// Path of the fine-tuned checkpoint; none for a task that only enters the regularizer.
    public var model: Located<String>?
    /// Patterns of capture files.
    public var captures: [Located<String>]
    /// Path of a finished factor set.
    public var factors: Located<String>?
    /// Weight w_t in λ_t of equation 8; the sample count when absent.
    public var curvatureWeight: Double?
    /// Parameters of this task alone, which precede the job's.
    public var parameters: MergeParameters

    /// Whether the task brings curvature, from captures or as factors.
    public var hasCurvature: Bool { !captures.isEmpty || factors != nil }
}

/// mergekit's `parameters` that the supported methods know.
public struct MergeParameters: Equatable, Sendable {
    /// Factor of the task vector; negative for negation.
    public var weight: ParameterSetting?
    /// Whether weights are divided by their sum: any value but 0.
    public var normalize: ParameterSetting?
    /// The paper's α, mergekit's `lambda`.
    public var lambda: ParameterSetting?

    /// Parameters that the file does not set.
    public init(
        weight: ParameterSetting? = nil, normalize: ParameterSetting? = nil, lambda: ParameterSetting? = nil
    ) {
        self.weight = weight
        self.normalize = normalize
        self.lambda = lambda
    }
}

/// Everything under the `kfac` key.
public struct CurvatureSpec: Equatable, Sendable {
    /// Globs over the layers and parameters that get factors; all that the captures hold when absent.
    public var layers: [Located<String>]?
    /// The convention of A and B.
    public var normalization: FactorNormalization = .tak
    /// Damping of inverses and of the `kfac` merge.
    public var damping = DampingSpec()
    /// The regularizer's form, scale and targets.
    public var regularizer = RegularizerSpec()
    /// Whether probes are basis vectors, one for each output, summed and not averaged.
    public var hasExactProbes = false
    /// Whether the report holds the interference matrix.
    public var measuresInterference = true
    /// How inputs are identified in the report.
    public var inputDigests: InputDigests = .content
    /// Whether factor files hold packed triangles rather than full squares.
    public var storesPackedTriangles = false
}

/// Which regularizers to assemble, and how.
///
/// Source: DESIGN section 2.2.
public struct RegularizerSpec: Equatable, Sendable {
    /// The regularizer's form.
    public enum Form: String, Equatable, Sendable, Codable, CaseIterable {
        /// Eq. 8: factors are summed, the cost does not grow with the number of tasks.
        case accumulated
        /// The best sum of a few Kronecker products for eq. 7, from combinations of the tasks' factors.
        case optimal
        /// Eq. 7: every task's factors, weighted.
        case perTask = "per_task"
    }

    /// Which sums to form.
    public enum Targets: Equatable, Sendable {
        /// For each task, all the others.
        case leaveOneOut
        /// One sum over all tasks.
        case all
        /// For these tasks, all the others.
        case named([Located<TaskName>])
    }

    /// The regularizer's form.
    public var form: Form = .accumulated
    /// Kronecker products a layer of the form ``Form/optimal``; 1 when absent.
    public var rank: Located<Int>?
    /// The scale of the accumulated or optimal B.
    public var scale: RegularizerScale = .paper
    /// Which sums to form.
    public var targets: Targets = .leaveOneOut

    /// Kronecker products that a layer's regularizer is summed into; `nil` for the per-task form, which sums none.
    public var termCount: Int? {
        switch form {
        case .accumulated: 1
        case .optimal: rank?.value ?? 1
        case .perTask: nil
        }
    }
}

/// What becomes of NaN and infinity in checkpoints.
public enum NonFiniteValues: String, Equatable, Sendable, Codable, CaseIterable {
    /// They are an error that names file, tensor and element.
    case refuse
    /// They pass through sums as IEEE 754 says, and are counted in the report.
    case allow
}

/// What a job can write.
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
    /// `report.json`.
    case report
}

/// How the report identifies the files that were read.
public enum InputDigests: String, Equatable, Sendable, Codable, CaseIterable {
    /// SHA-256 of the whole file; read once more, beside the work.
    case content
    /// SHA-256 of the header, with size and modification time; nothing is read twice.
    case header
}
