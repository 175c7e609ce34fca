public import LinearAlgebra

extension MergeMethod {
    /// One model, scaled.
    public static let passthrough = MergeMethod(
        name: "passthrough", paper: Paper("Goddard et al. 2024", arXiv: "2403.13257"), formula: "c θ_1",
        summary: "Copies one model, and scales the tensors for which a scale is given.",
        parameters: [.scale], terms: .models, base: .whenListed, modelCount: 1...1, scope: .elements(ScaledModel.self))
}

extension MergeParameter {
    /// c, the factor of a copied model.
    public static let scale = MergeParameter(
        "scale", .number(.any), default: .value(.number(1)), level: .jobAndModel, variesByTensor: true,
        meaning: "factor c of the model's tensor")
}

/// Writes `c θ_1`.
public struct ScaledModel: ElementwiseComputation, ~Copyable {
    private var sum: WeightedSum

    /// Buffers for ranges of up to `capacity` elements.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(capacity: Int, precision: MergePrecision, statistics: [[Double]]) throws(TaskArithmeticError) {
        sum = try WeightedSum(capacity: capacity, precision: precision)
    }

    /// Begins a range with θ_0.
    ///
    /// - Throws: What ``WeightedSum/begin(base:type:)`` throws.
    public mutating func begin(base: RawSpan, type: ElementType) throws(TaskArithmeticError) {
        try sum.begin(base: base, type: type)
    }

    /// Begins a range at zero.
    ///
    /// - Throws: What ``WeightedSum/begin(elements:)`` throws.
    public mutating func begin(elements: Int) throws(TaskArithmeticError) { try sum.begin(elements: elements) }

    /// Adds nothing: the base is copied only as the model itself.
    public mutating func addBase(weight: Double) {}

    /// Adds the model times its scale.
    ///
    /// - Throws: What ``WeightedSum/add(_:type:weight:)`` throws.
    public mutating func add(
        _ checkpoint: RawSpan, type: ElementType, of model: MergedModel
    ) throws(TaskArithmeticError) {
        try sum.add(checkpoint, type: type, weight: try model.arguments.number(.scale))
    }

    /// Writes the range.
    ///
    /// - Throws: What ``WeightedSum/finish(divides:alpha:arguments:into:type:)`` throws.
    public mutating func finish(
        divides: Bool, alpha: Double, arguments: MergeArguments, into bytes: inout MutableRawSpan, type: ElementType
    ) throws(TaskArithmeticError) {
        try sum.finish(divides: false, alpha: 1, into: &bytes, type: type)
    }
}
