public import KroneckerFactors
public import LinearAlgebra

/// What a streamed merge is of.
public struct MergeProblem: Equatable, Sendable {
    /// What stands for a model's values.
    public enum Shape: Equatable, Sendable {
        /// A matrix without factors; a tensor of another shape as one row.
        case matrix(rows: Int, columns: Int)
        /// A layer with the factors A and B; `inputs` counts the bias.
        case layer(outputs: Int, inputs: Int)
        /// A parameter with its full block F.
        case parameter(count: Int)

        /// Rows of the values.
        public var rows: Int {
            switch self {
            case .matrix(let rows, _): rows
            case .layer(let outputs, _): outputs
            case .parameter: 1
            }
        }

        /// Columns of the values.
        public var columns: Int {
            switch self {
            case .matrix(_, let columns): columns
            case .layer(_, let inputs): inputs
            case .parameter(let count): count
            }
        }
    }

    /// The shape of the values.
    public var shape: Shape
    /// The models, in the job's order; the base stands first where it counts as one.
    public var models: [MergedModel]
    /// How factors are damped.
    public var damping: Damping
    /// Whether the computation divides by the weights.
    ///
    /// Those of a block are divided before, by one number.
    public var divides: Bool
    /// The job's own parameters.
    public var arguments: MergeArguments

    /// Describes a merge.
    public init(
        shape: Shape, models: [MergedModel], damping: Damping, divides: Bool = false,
        arguments: MergeArguments = MergeArguments()
    ) {
        self.shape = shape
        self.models = models
        self.damping = damping
        self.divides = divides
        self.arguments = arguments
    }
}

/// What a model brings to a merge besides its values.
public struct MergedModel: Equatable, Sendable {
    /// w_t.
    public var weight: Double
    /// λ_t, the share of its curvature; 1 where there is none.
    public var lambda: Double
    /// Its own parameters.
    public var arguments: MergeArguments

    /// Describes a model.
    public init(weight: Double = 1, lambda: Double = 1, arguments: MergeArguments = MergeArguments()) {
        self.weight = weight
        self.lambda = lambda
        self.arguments = arguments
    }
}

/// A task's factors of one block.
public enum TaskFactors: ~Copyable, Sendable {
    /// None, where none are read.
    case none
    /// A and B of a layer.
    case layer(LayerFactors)
    /// F of a parameter.
    case parameter(PackedSymmetricMatrix<Float>)
}

/// A task's factors of a layer.
public struct LayerFactors: ~Copyable, Sendable {
    /// A, packed.
    public let input: PackedSymmetricMatrix<Float>
    /// B, packed.
    public let gradient: PackedSymmetricMatrix<Float>

    /// Takes both.
    public init(input: consuming PackedSymmetricMatrix<Float>, gradient: consuming PackedSymmetricMatrix<Float>) {
        self.input = input
        self.gradient = gradient
    }
}

/// What a streamed merge gives.
public struct MergedBlock: ~Copyable, Sendable {
    /// Δ, or θ under ``MergeMethod/Terms/models``, of the problem's shape.
    public let values: Matrix<Double>
    /// How inverting went: Ā and B̄ of a layer, F̄ of a parameter; nothing where nothing is inverted.
    public let healths: [FactorHealth]
    /// What became of the task vectors' norm, where the method compares.
    public let norms: MergedNorms?

    /// Takes a result.
    public init(values: consuming Matrix<Double>, healths: [FactorHealth] = [], norms: MergedNorms? = nil) {
        self.values = values
        self.healths = healths
        self.norms = norms
    }

    /// Gives the values away.
    public consuming func intoValues() -> Matrix<Double> { values }
}

/// What a streamed merge takes.
public struct MergeCost: Equatable, Sendable {
    /// Multiply-adds, those of fp64 counted double.
    public var multiplyAdds: Double
    /// fp64 numbers that it holds at its peak, the values and factors that it is given included.
    public var numbers: Double
    /// Passes that read the models' factors.
    public var factorPasses: Int
    /// Passes that read the models' values.
    public var valuePasses: Int

    /// States a cost.
    public init(multiplyAdds: Double, numbers: Double, factorPasses: Int, valuePasses: Int) {
        self.multiplyAdds = multiplyAdds
        self.numbers = numbers
        self.factorPasses = factorPasses
        self.valuePasses = valuePasses
    }
}
