public import Identifiers

/// The kinds of file that a job reads and writes, all of them safetensors.
///
/// Source: DESIGN section 3.
public enum JobFileKind: String, CaseIterable, Sendable {
    /// Rows of layer inputs and output gradients of one task.
    case capture
    /// The Kronecker factors of one task.
    case factors
    /// Sums of outer products of one rank's rows, which together become the factors of one task.
    case partials
    /// Factors accumulated over tasks for one target.
    case regularizer
    /// Damped inverses of factors.
    case inverses
    /// The parameters of a model.
    case checkpoint

    /// The value of `format` in the metadata; nil for checkpoints, which keep the base's metadata.
    public var format: FormatVersion? {
        switch self {
        case .capture: .capture
        case .factors: .factors
        case .partials: .partials
        case .regularizer: .regularizer
        case .inverses: .inverses
        case .checkpoint: nil
        }
    }

    /// The name of a file of the kind without its extension: `factors` for `factors.safetensors`.
    public var stem: String {
        switch self {
        case .checkpoint: "model"
        case .capture, .factors, .partials, .regularizer, .inverses: rawValue
        }
    }
}

/// The keys of our files' metadata.
///
/// Every value is a string; structured values are JSON.
public enum MetadataKey {
    /// The kind and version of the file, ``JobFileKind/format``.
    public static let format = "format"
    /// The task that the file belongs to.
    public static let task = "task"
    /// N: a whole number; in factor files also an object of numbers by layer or parameter.
    public static let samples = "samples"
    /// Object by layer or parameter of a capture: its own number of samples, where that is not the file's.
    public static let layerSamples = "layer_samples"
    /// The rows behind a layer's factors: a whole number, or an object of numbers by layer.
    public static let rows = "rows"
    /// M, Monte-Carlo probes for each sample.
    public static let probes = "probes"
    /// The key that other programs use for ``probes``; it is read when that key is absent.
    public static let probesOfOthers = "mc_samples"
    /// SHA-256 of the base checkpoint, 64 hexadecimal digits.
    public static let baseDigest = "sha256_base"
    /// `tak`, `expand` or `reduce`.
    public static let normalization = "normalization"
    /// The run that wrote a partial sum, as it names itself.
    public static let run = "run"
    /// The process of the run that wrote a partial sum, from 0.
    public static let processRank = "rank"
    /// The position of a partial sum among those of its rank, from 0.
    public static let sequence = "sequence"
    /// Object by layer: how its weight is stored, `out_in` or `in_out`.
    public static let layout = "layout"
    /// List of the factors of which the file holds, or asks for, only the diagonal: `["wte.A", "lm_head.B"]`.
    public static let diagonal = "diagonal"
    /// Object by layer: the captured layers that use its weight, where the factors are the sum over several.
    public static let uses = "uses"
    /// Object by layer of a factor file: the scalar that gives B the layer's exact trace.
    public static let balance = "balance"
    /// Object by layer of partial sums: Σ ‖Σ_p g_p ã_pᵀ‖² over samples and probes.
    public static let exactTrace = "exact_trace"
    /// `sum` in a regularizer file whose F is a sum over tasks like B.
    public static let oneDimensional = "one_dimensional"
    /// Object by layer: whether A's last row and column belong to the bias.
    public static let bias = "bias"
    /// w_t.
    public static let weight = "weight"
    /// `none` in factor files; the rule in inverses.
    public static let damping = "damping"
    /// γ of that rule.
    public static let dampingValue = "damping_value"
    /// Object: the damping that the rule gives, by factor.
    public static let dampingAsked = "damping_asked"
    /// Object: the damping used, by factor.
    public static let dampingUsed = "damping_used"
    /// `full` or `packed`.
    public static let storage = "storage"
    /// Object by tensor: the form of a compressed matrix, and what it lost.
    public static let compression = "compression"
    /// The task that a regularizer protects, or `all`.
    public static let target = "target"
    /// `accumulated`, `optimal`, `per_task` or `pseudo_rows`.
    public static let form = "form"
    /// `paper` or `mean`.
    public static let scale = "scale"
    /// List of the tasks summed.
    public static let tasks = "tasks"
    /// Object: λ_t by task.
    public static let lambda = "lambda"
    /// T', the number of tasks summed.
    public static let summedTaskCount = "summed_tasks"
    /// Object by layer or parameter: the strength by which a regularizer's B or F is multiplied; 1 for all others.
    public static let strength = "strength"
    /// Object by layer: the tasks that have no curvature in it.
    public static let missingCurvature = "missing_curvature"
    /// For the form `optimal`: Kronecker products of each layer.
    public static let rank = "rank"
    /// For the form `optimal`, object by layer: a list of `{"B": {task: y_t}, "A": {task: x_t}}`, one for each term.
    public static let coefficients = "coefficients"
    /// For the form `optimal`, object by layer: the share of the per-task form's norm that the products miss.
    public static let relativeError = "relative_error"
    /// Of a factor file or a file of partial sums with joint rows: an object with the objects `ranks` and `kept`.
    public static let jointRows = "joint_rows"
    /// For the form `pseudo_rows`, object: the number of rows of `inputs` and of `gradients`.
    public static let ranks = "ranks"
    /// For the form `pseudo_rows`, object: the share of the trace of the weighted Gram matrix that the rows keep.
    public static let kept = "kept"
    /// How the positions of joint rows were pooled.
    public static let buckets = "buckets"
    /// For the form `pseudo_rows`: `complement`, `none`, or what the accumulated factors are multiplied by.
    public static let floor = "floor"
    /// The origin of a merged checkpoint, as JSON.
    public static let provenance = "kfacd"
}
