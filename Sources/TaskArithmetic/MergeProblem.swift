public import KroneckerFactors
public import LinearAlgebra
public import RandomNumbers

/// The description of a streamed merge.
public struct MergeProblem: Equatable, Sendable {
    /// The shape of a model's values, with the kind of its factors.
    public enum Shape: Equatable, Sendable {
        /// A matrix without factors; a tensor that is not a matrix counts as one row.
        case matrix(rows: Int, columns: Int)
        /// A layer with the factors B and A of these shapes; `inputs` counts the bias.
        case layer(outputs: SymmetricShape, inputs: SymmetricShape)
        /// A parameter with its full block F.
        case parameter(count: Int)

        /// Rows of the values.
        public var rows: Int {
            switch self {
            case .matrix(let rows, _): rows
            case .layer(let outputs, _): outputs.dimension
            case .parameter: 1
            }
        }

        /// Columns of the values.
        public var columns: Int {
            switch self {
            case .matrix(_, let columns): columns
            case .layer(_, let inputs): inputs.dimension
            case .parameter(let count): count
            }
        }

        /// The shapes of the factors: A and B of a layer, F of a parameter, none of a matrix.
        public var factors: [SymmetricShape] {
            switch self {
            case .matrix: []
            case .layer(let outputs, let inputs): [inputs, outputs]
            case .parameter(let count): [.full(count)]
            }
        }
    }

    /// The shape of the values.
    public var shape: Shape
    /// The models, in the job's order; the base stands first where it counts as one.
    public var models: [MergedModel]
    /// The damping of factors.
    public var damping: Damping
    /// Whether the computation divides by the weights.
    ///
    /// Those of a block are divided before, by one number.
    public var divides: Bool
    /// The job's own parameters.
    public var arguments: MergeArguments
    /// What ``ModelStatistics`` measured of the whole model, a list for each finished round.
    ///
    /// The lists cross the network, so a computation checks their lengths before it reads them.
    public var statistics: [[Double]]

    /// Describes a merge.
    public init(
        shape: Shape, models: [MergedModel], damping: Damping, divides: Bool = false,
        arguments: MergeArguments = MergeArguments(), statistics: [[Double]] = []
    ) {
        self.shape = shape
        self.models = models
        self.damping = damping
        self.divides = divides
        self.arguments = arguments
        self.statistics = statistics
    }
}

/// The weights and parameters of a model in a merge.
public struct MergedModel: Equatable, Sendable {
    /// 0 for the base, else the model's position in the job + 1: the same for every part of the checkpoint.
    ///
    /// A model of weight 0 takes no part, so its position among the models of a part may differ.
    public var place: Int
    /// w_t; 0 only for a base that is the origin of the others' vectors.
    public var weight: Double
    /// λ_t, the weight of its curvature; 1 without curvature.
    public var lambda: Double
    /// Its own parameters.
    public var arguments: MergeArguments
    /// Its random numbers for the tensor, under a method with the parameter ``MergeParameter/randomSeed``.
    public var randomStream: RandomStream?

    /// Describes a model.
    public init(
        place: Int = 1, weight: Double = 1, lambda: Double = 1, arguments: MergeArguments = MergeArguments(),
        randomStream: RandomStream? = nil
    ) {
        self.place = place
        self.weight = weight
        self.lambda = lambda
        self.arguments = arguments
        self.randomStream = randomStream
    }
}

extension MergedModel {
    /// Whether it is the base as the origin of the others' vectors (``MergeMethod/BaseRole/origin``).
    public var isOrigin: Bool { place == 0 && weight == 0 }
}

/// A task's factors of one block, or inverses of such factors.
public enum TaskFactors: ~Copyable, Sendable {
    /// No factors, in a pass that reads none.
    case none
    /// A and B of a layer.
    case layer(LayerFactors)
    /// F of a parameter.
    case parameter(TaskFactor)
}

/// A task's factors of a layer.
public struct LayerFactors: ~Copyable, Sendable {
    /// A, packed.
    public let input: TaskFactor
    /// B, packed.
    public let gradient: TaskFactor

    /// Takes both factors.
    public init(input: consuming TaskFactor, gradient: consuming TaskFactor) {
        self.input = input
        self.gradient = gradient
    }
}

/// The result of a streamed merge.
public struct MergedBlock: ~Copyable, Sendable {
    /// Δ, or θ under ``MergeMethod/Terms/models``, of the problem's shape.
    public let values: Matrix<Double>
    /// The health of the inverted factors: Ā and B̄ of a layer, F̄ of a parameter; empty if none is inverted.
    public let healths: [FactorHealth]
    /// The norms before and after the merge, if the method compares them.
    public let norms: MergedNorms?
    /// How the method's equations were solved, if it says so.
    public let solution: MergeSolution?

    /// Takes a result.
    public init(
        values: consuming Matrix<Double>, healths: [FactorHealth] = [], norms: MergedNorms? = nil,
        solution: MergeSolution? = nil
    ) {
        self.values = values
        self.healths = healths
        self.norms = norms
        self.solution = solution
    }

    /// Moves the values out.
    public consuming func intoValues() -> Matrix<Double> { values }
}

/// How the equations of a merge were solved, for the report.
public struct MergeSolution: Equatable, Sendable {
    /// The rank that was used: of the sum of covariances, or of the merged vectors.
    public var rank: Int?
    /// The steps of an iteration.
    public var iterations: Int?
    /// The norm of what the equations still lack, as a share of the norm of their right side.
    public var residual: Double?
    /// How far each task's estimated covariance is from the captured one, as a share of the latter's norm.
    public var covarianceDistances: [Double]
    /// The singular values that the method replaced by their mean, so that small ones count as much as large ones.
    public var raisedValues: [Double]

    /// Describes a solution.
    public init(
        rank: Int? = nil, iterations: Int? = nil, residual: Double? = nil, covarianceDistances: [Double] = [],
        raisedValues: [Double] = []
    ) {
        self.rank = rank
        self.iterations = iterations
        self.residual = residual
        self.covarianceDistances = covarianceDistances
        self.raisedValues = raisedValues
    }
}

/// The cost of a streamed merge.
public struct MergeCost: Equatable, Sendable {
    /// Multiply-adds; those of fp64 count double.
    public var multiplyAdds: Double
    /// The peak count of fp64 numbers in memory, including the given values and factors.
    public var numbers: Double
    /// Passes that read the models' factors.
    public var factorPasses: Int
    /// Passes that read the models' values.
    public var valuePasses: Int
    /// Passes that read inverses.
    public var inversePasses: Int
    /// Multiply-adds of the costliest step that shows no progress, beyond the factorizations of the shape's factors.
    public var stageMultiplyAdds: Double

    /// Describes a cost.
    public init(
        multiplyAdds: Double, numbers: Double, factorPasses: Int, valuePasses: Int, inversePasses: Int = 0,
        stageMultiplyAdds: Double = 0
    ) {
        self.multiplyAdds = multiplyAdds
        self.numbers = numbers
        self.factorPasses = factorPasses
        self.valuePasses = valuePasses
        self.inversePasses = inversePasses
        self.stageMultiplyAdds = stageMultiplyAdds
    }
}
