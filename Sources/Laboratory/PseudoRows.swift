import LinearAlgebra

/// The joint form: pseudo-rows of inputs and gradients over all layers, above a floor of K-FAC.
///
/// A training hides in directions that a form does not see, and pseudo-rows see few. The floor covers the others.
///
/// Source: DESIGN section 2.2, joint form.
public struct PseudoRows: CurvatureForm {
    /// What is added for the directions that the rows do not see.
    public enum Floor: Sendable, Hashable {
        /// Nothing.
        case none
        /// c times K-FAC.
        case factors(Float)
        /// K-FAC without what the rows already hold of each layer: B ⊗ A − B_in ⊗ A_in.
        ///
        /// It is positive semi-definite because rows and factors come from the same samples and probes.
        case complement
    }

    /// How the rows are compressed.
    public struct Settings: Sendable, Hashable {
        /// The most rows of inputs.
        public var inputRank: Int
        /// The most rows of gradients.
        public var gradientRank: Int
        /// The floor.
        public var floor: Floor
        /// Whether the kept rows of each side are rotated among themselves.
        public var mixing: Bool
        /// The centroids by which positions are pooled; 0 keeps every position.
        public var centroidCount: Int

        /// Settings of rows.
        public init(inputRank: Int, gradientRank: Int, floor: Floor, mixing: Bool = false, centroidCount: Int = 0) {
            self.inputRank = inputRank
            self.gradientRank = gradientRank
            self.floor = floor
            self.mixing = mixing
            self.centroidCount = centroidCount
        }
    }

    let settings: Settings
    let taskCount: Int
    /// The inputs divided by the root of the number of tasks, and the gradients.
    ///
    /// So the rows' sums are a mean of A and a sum of B, as in equation 8.
    let rows: JointRows
    /// The weights of these tasks.
    let weights: JointWeights
    /// nil without a floor.
    private let factors: KroneckerForm?
    private let floor: CurvaturePenalty?

    private init(
        settings: Settings, taskCount: Int, rows: JointRows, weights: JointWeights, factors: KroneckerForm?
    ) {
        self.settings = settings
        self.taskCount = taskCount
        self.rows = rows
        self.weights = weights
        self.factors = factors
        floor =
            switch settings.floor {
            case .none: nil
            case .factors(let share): factors?.penalty.scaled(by: share)
            case .complement: factors?.penalty.complement(of: rows)
            }
    }

    /// The rows and the floor of one task, every position kept.
    ///
    /// - Throws: ``LaboratoryError/compression(_:)`` for rows that are not finite.
    public init(_ rows: TaskRows, settings: Settings) throws(LaboratoryError) {
        try self.init(rows, settings: settings, codebook: nil)
    }

    /// The rows and the floor of one task.
    ///
    /// - Parameters:
    ///   - rows: The task's rows with all positions. The floor is made of these.
    ///   - settings: The settings.
    ///   - codebook: Pools the positions of what is kept; nil keeps every position.
    /// - Throws: ``LaboratoryError/compression(_:)`` for rows that are not finite.
    public init(_ rows: TaskRows, settings: Settings, codebook: PositionCodebook?) throws(LaboratoryError) {
        let factors =
            settings.floor == .none
            ? nil : KroneckerForm(rows, settings: KroneckerForm.Settings(oneDimensional: .sum))
        let rows = codebook.map { rows.pooled(by: $0) } ?? rows
        let weights = JointWeights(rows)
        let compressed = try Self.compress(rows.rows, settings, weights)
        self.init(settings: settings, taskCount: 1, rows: compressed, weights: weights, factors: factors)
    }

    /// The rows and the floor of all forms' tasks: the rows one after the other, compressed again.
    ///
    /// The weights are means over these tasks. So a form that leaves out a task has nothing of it.
    ///
    /// - Throws: ``LaboratoryError/usage(_:)`` for no form, or ``LaboratoryError/compression(_:)``.
    public static func accumulated(_ forms: [Self]) throws(LaboratoryError) -> Self {
        guard let first = forms.first else { throw .noOtherTask }
        let total = forms.reduce(0) { $0 + $1.taskCount }
        let shares = forms.map { Float($0.taskCount) / Float(total) }
        let joined = JointRows(joining: forms.map(\.rows), inputScales: shares.map { $0.squareRoot() })
        let weights = JointWeights(mean: forms.map(\.weights), shares: shares)
        let factors = forms.compactMap(\.factors)
        return Self(
            settings: first.settings, taskCount: total, rows: try compress(joined, first.settings, weights),
            weights: weights, factors: factors.isEmpty ? nil : try KroneckerForm.accumulated(factors))
    }

    private static func compress(
        _ rows: JointRows, _ settings: Settings, _ weights: JointWeights
    ) throws(LaboratoryError) -> JointRows {
        try compressing { () throws(LinearAlgebraError) in
            let compressed = try rows.compressed(
                inputRank: settings.inputRank, gradientRank: settings.gradientRank, weights: weights)
            return settings.mixing ? try compressed.mixed() : compressed
        }
    }

    /// Adds scale · ∇Ω(τ) to a gradient, and returns Ω(τ) = Σ_rs X_rs² + the floor's.
    public func addGradient(
        at vector: [Float], scale: Float, to gradient: inout [Float], scratch: inout PenaltyScratch
    ) -> Double {
        let value = rows.addGradient(at: vector, scale: scale, to: &gradient, scratch: &scratch)
        guard let floor else { return value }
        return value + floor.addGradient(at: vector, scale: scale, to: &gradient, scratch: &scratch)
    }

    /// The elements of the rows and weights, and of the floor's factors.
    ///
    /// A_in and B_in follow from the rows.
    public var storedElementCount: Int {
        rows.elementCount + weights.elementCount + (factors?.storedElementCount ?? 0)
    }
}

extension CurvaturePenalty {
    /// The penalty times a number.
    fileprivate func scaled(by factor: Float) -> CurvaturePenalty {
        CurvaturePenalty(
            layers: layers.map { $0.scaled(by: factor) }, vectors: vectors.map { $0.scaled(by: factor) })
    }

    /// B ⊗ A − B_in ⊗ A_in for each layer, and F − F_in for each block, where the rows make A_in, B_in and F_in.
    fileprivate func complement(of rows: JointRows) -> CurvaturePenalty {
        let inside = rows.factors
        let constant = rows.constantSquare
        return CurvaturePenalty(
            layers: layers + inside.layers.map { $0.scaled(by: -1) },
            vectors: zip(vectors, inside.vectors).map { whole, part in
                VectorTerm(
                    entry: whole.entry, weight: whole.weight,
                    block: zip(whole.block, part.block).map { $0 - constant * $1 })
            })
    }
}
