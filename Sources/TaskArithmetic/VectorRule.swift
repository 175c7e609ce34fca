public import LinearAlgebra

/// The rule of methods that merge matrices for all other tensors: the mean of the models' vectors, their sum, or the
/// base.
///
/// The mean is Σ w_t Δ_t divided by the number of models, so that negated models may stand beside others.
public struct VectorRule: ElementwiseComputation, ~Copyable {
    private var sum: WeightedSum
    private var modelCount = 0

    /// Buffers for ranges of up to `capacity` elements; the rule needs no statistics.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(capacity: Int, precision: MergePrecision, statistics: [[Double]]) throws(TaskArithmeticError) {
        sum = try WeightedSum(capacity: capacity, precision: precision)
    }

    /// Begins a range with the base's elements θ_0.
    /// - Throws: The errors of ``WeightedSum/begin(base:type:)``.
    public mutating func begin(base: RawSpan, type: ElementType) throws(TaskArithmeticError) {
        modelCount = 0
        try sum.begin(base: base, type: type)
    }

    /// Begins a range without a base.
    /// - Throws: The errors of ``WeightedSum/begin(elements:)``.
    public mutating func begin(elements: Int) throws(TaskArithmeticError) {
        modelCount = 0
        try sum.begin(elements: elements)
    }

    /// Takes note of the base, which is no model here.
    /// - Throws: ``TaskArithmeticError/weightNotFinite(name:value:)``.
    public mutating func addBase(weight: Double) throws(TaskArithmeticError) { try sum.addBase(weight: weight) }

    /// Adds a model's range with its weight.
    /// - Throws: The errors of ``WeightedSum/add(_:type:weight:)``.
    public mutating func add(
        _ checkpoint: RawSpan, type: ElementType, of model: MergedModel
    ) throws(TaskArithmeticError) {
        try sum.add(checkpoint, type: type, of: model)
        modelCount += 1
    }

    /// Writes the range by the job's word ``MergeParameter/vectors``.
    /// - Throws: The errors of ``WeightedSum/finish(divides:alpha:arguments:into:type:)``, or
    ///   ``TaskArithmeticError/parameterMissing(name:expected:)``.
    public mutating func finish(
        divides: Bool, alpha: Double, arguments: MergeArguments, into bytes: inout MutableRawSpan, type: ElementType
    ) throws(TaskArithmeticError) {
        let scale: Double =
            switch try arguments.word(.vectors) {
            case "mean": alpha / Double(max(1, modelCount))
            case "sum": alpha
            default: 0
            }
        try sum.finish(divides: false, alpha: scale, into: &bytes, type: type)
    }
}

extension MergeParameter {
    /// What becomes of tensors that are no matrix.
    public static let vectors = MergeParameter(
        "vectors", .word(["mean", "sum", "base"]), default: .value(.word("mean")), level: .job, variesByTensor: false,
        meaning: "merge of tensors that are no matrix")

    /// Whether a matrix is merged as one.
    public static let asMatrix = MergeParameter(
        "as_matrix", .truth, default: .value(.truth(true)), level: .job, variesByTensor: true,
        meaning: "whether a matrix is merged as one, not like vectors; false, for example, for embeddings")

    /// The share of the largest eigenvalue below which eigenvalues count as 0.
    public static let relativeTolerance = MergeParameter(
        "rtol", .number(.from(0, to: 1)), default: .derived("columns · 2⁻⁵²"), level: .job, variesByTensor: true,
        meaning: "share of the largest eigenvalue below which eigenvalues count as 0")

    /// The share of the largest singular value below which singular values count as 0, where others get one size.
    ///
    /// The published methods have none.
    public static let rankTolerance = MergeParameter(
        relativeTolerance.name, .number(.from(0, to: 1)), default: .value(.number(0)), level: .job,
        variesByTensor: true,
        meaning: "share of the largest singular value below which singular values count as 0")

    /// A multiple of the mean eigenvalue that is added to each eigenvalue.
    public static func ridge(default value: Double) -> MergeParameter {
        MergeParameter(
            ridgeName, .number(.from(0)), default: .value(.number(value)), level: .job, variesByTensor: true,
            meaning: "share of the mean eigenvalue that is added to each")
    }

    /// The key of ``ridge(default:)``.
    public static let ridgeName = "ridge"
}

extension MergeArguments {
    /// The value of a parameter that is a number and may be left out.
    func optionalNumber(_ parameter: MergeParameter) -> Double? {
        guard case .number(let value) = self[parameter] else { return nil }
        return value
    }
}
