/// The data of a study's figures: its measurements other than accuracies.
public struct StudyFigures: Codable, Sendable, Equatable {
    /// The names of the tasks, in the order of every matrix.
    public var tasks: [String]
    /// How much two vectors disturb each other, over the scales of both.
    public var disentanglement: [DisentanglementMap]
    /// How strongly each vector changes each task's representations, computed from the factors.
    public var interference: [InterferenceMatrix]
    /// The same measured with the model: ‖Jτ_i‖² on inputs of task j, divided by ‖Jτ_j‖² there.
    public var localisation: [InterferenceMatrix]
    /// The cost of the penalty, one entry for each number of tasks.
    public var penaltyCost: [PenaltyCost]
    /// What each penalty keeps and shares; nil in files of earlier versions.
    public var storage: [PenaltyStorage]?
    /// What can be read of images; nil in files of earlier versions.
    public var leaks: [LeakFigure]?

    /// Figures; missing data are not drawn.
    public init(
        tasks: [String] = [],
        disentanglement: [DisentanglementMap] = [],
        interference: [InterferenceMatrix] = [],
        localisation: [InterferenceMatrix] = [],
        penaltyCost: [PenaltyCost] = [],
        storage: [PenaltyStorage]? = nil,
        leaks: [LeakFigure]? = nil
    ) {
        self.tasks = tasks
        self.disentanglement = disentanglement
        self.interference = interference
        self.localisation = localisation
        self.penaltyCost = penaltyCost
        self.storage = storage
        self.leaks = leaks
    }

    private enum CodingKeys: String, CodingKey {
        case tasks, disentanglement, interference, localisation, storage, leaks
        case penaltyCost = "penalty_cost"
    }
}

/// How often a model with two vectors predicts another class than the models with one vector each.
///
/// Source: Ortiz-Jimenez et al. 2023 (arXiv 2305.12827), the weight disentanglement error.
public struct DisentanglementMap: Codable, Sendable, Equatable {
    /// The id of the method that trained the vectors.
    public var method: String
    /// The seed of training.
    public var seed: Int?
    /// The task whose α grows from row to row.
    public var firstTask: String
    /// The task whose α grows from column to column.
    public var secondTask: String
    /// The scales of either vector.
    public var alphas: [Double]
    /// Fractions from 0 to 1: one row for each α of the first task, one column for each α of the second.
    public var errors: [[Double]]

    /// A map; `errors` is square, with as many rows as `alphas`.
    public init(
        method: String,
        seed: Int? = nil,
        firstTask: String,
        secondTask: String,
        alphas: [Double],
        errors: [[Double]]
    ) {
        self.method = method
        self.seed = seed
        self.firstTask = firstTask
        self.secondTask = secondTask
        self.alphas = alphas
        self.errors = errors
    }

    private enum CodingKeys: String, CodingKey {
        case method, seed, alphas, errors
        case firstTask = "first_task"
        case secondTask = "second_task"
    }
}

/// A number for each task vector (row) and each task on whose inputs it is measured (column).
public struct InterferenceMatrix: Codable, Sendable, Equatable {
    /// The id of the method that trained the vectors.
    public var method: String
    /// The seed of training.
    public var seed: Int?
    /// `[tasks, tasks]`.
    public var values: [[Double]]

    /// A matrix; its rows and columns are in the order of ``StudyFigures/tasks``.
    public init(method: String, seed: Int? = nil, values: [[Double]]) {
        self.method = method
        self.seed = seed
        self.values = values
    }
}

/// The time of one evaluation of the penalty and its gradient, for a number of tasks.
public struct PenaltyCost: Codable, Sendable, Equatable {
    /// The tasks of the job; a penalty protects all but one of them.
    public var taskCount: Int
    /// Equation 8: factors summed over tasks.
    public var accumulatedMicroseconds: Double
    /// The best sum of few Kronecker products.
    public var optimalMicroseconds: Double?
    /// Equation 7: one Kronecker product for each task.
    public var perTaskMicroseconds: Double

    /// A measurement; times are wall time of one evaluation.
    public init(
        taskCount: Int,
        accumulatedMicroseconds: Double,
        optimalMicroseconds: Double? = nil,
        perTaskMicroseconds: Double
    ) {
        self.taskCount = taskCount
        self.accumulatedMicroseconds = accumulatedMicroseconds
        self.optimalMicroseconds = optimalMicroseconds
        self.perTaskMicroseconds = perTaskMicroseconds
    }

    private enum CodingKeys: String, CodingKey {
        case taskCount = "task_count"
        case accumulatedMicroseconds = "accumulated_microseconds"
        case optimalMicroseconds = "optimal_microseconds"
        case perTaskMicroseconds = "per_task_microseconds"
    }
}
