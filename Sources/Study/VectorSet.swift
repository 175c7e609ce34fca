/// Task vectors of one method and seed, from wherever they come: what is measured together.
public struct VectorSet: Sendable {
    /// The method's id.
    public var method: String
    /// The seed of training, if known.
    public var seed: Int?
    /// The penalty's weight, if known.
    public var beta: Double?
    /// What an ablation changed.
    public var setting: String?
    /// One for each task, in the evaluation's order; each in the layout's order.
    public var vectors: [[Float]]
    /// Training time of all of them, if known.
    public var seconds: Double?

    /// Vectors with what is known of them.
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
