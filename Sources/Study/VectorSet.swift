/// Task vectors of one method and seed, from any source, that are measured together.
public struct VectorSet: Sendable {
    /// The method's id.
    public var method: String
    /// The seed of training, if known.
    public var seed: Int?
    /// The penalty's weight, if known.
    public var beta: Double?
    /// The changed setting of an ablation.
    public var setting: String?
    /// One vector for each task, in the evaluation's order; each is in the layout's order.
    public var vectors: [[Float]]
    /// The training time of all vectors, if known.
    public var seconds: Double?

    /// Vectors with what is known about them.
    public init(
        method: String, seed: Int? = nil, beta: Double? = nil, setting: String? = nil, vectors: [[Float]],
        seconds: Double? = nil
    ) {
        self.method = method
        self.seed = seed
        self.beta = beta
        self.setting = setting
        self.vectors = vectors
        self.seconds = seconds
    }
}
