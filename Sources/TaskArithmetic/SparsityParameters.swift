// Parameters of the methods that keep a share of each task vector's elements (``TaskVectorMerge``).

extension MergeParameter {
    /// The share of elements that are kept.
    public static let density = MergeParameter(
        "density", .number(.above(0, to: 1)), default: .value(.number(1)), level: .jobAndModel, variesByTensor: true,
        meaning: "share of the vector's elements that are kept")

    /// The share of the largest elements that are dropped.
    public static let gamma = MergeParameter(
        "gamma", .number(.from(0, to: 1)), default: .value(.number(0.01)), level: .jobAndModel, variesByTensor: true,
        meaning: "share of the largest elements, which are dropped")

    /// The spread of the probabilities around the density.
    public static let epsilon = MergeParameter(
        "epsilon", .number(.from(0)), default: .value(.number(0.15)), level: .jobAndModel, variesByTensor: true,
        meaning: "how far the probability of a row's smallest and largest element is from the density")

    /// Whether what is kept is scaled up.
    public static func rescale(default isOn: Bool) -> MergeParameter {
        MergeParameter(
            "rescale", .truth, default: .value(.truth(isOn)), level: .job, variesByTensor: true,
            meaning: "whether the kept elements are scaled up for the dropped ones")
    }

    /// What the kept elements are scaled by.
    public static let rescaleBy = MergeParameter(
        "rescale_by", .word(["norm", "probability"]), default: .value(.word("norm")), level: .job,
        variesByTensor: false,
        meaning: "norm keeps the tensor's L1 norm, as mergekit; probability divides by it, as the paper")

    /// How the models elect the sign of an element.
    public static let consensus = MergeParameter(
        "consensus", .word(["sum", "count"]), default: .value(.word("sum")), level: .job, variesByTensor: false,
        meaning: "sign of the sum, or of the majority; a tie is positive")

    /// Among which elements the largest are chosen.
    public static let trimScope = MergeParameter(
        "scope", .word(["tensor", "model"]), default: .value(.word("tensor")), level: .job, variesByTensor: false,
        meaning: "the largest of each tensor, as mergekit, or of the whole model, as the paper's code")
}
