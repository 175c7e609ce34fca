import LinearAlgebra
import ReferenceModel

/// K-FAC factors that the lab computes from joint rows: equation 7 or 8, with the choices that the equations leave.
///
/// Source: paper equations 7 and 8; DESIGN section 2.2.
public struct KroneckerForm: CurvatureForm {
    /// How the factors are summed and scaled.
    public struct Settings: Sendable, Hashable {
        /// The sum over tasks.
        public enum Accumulation: String, Sendable, CaseIterable {
            /// Equation 8: B = Σ B_t, A = mean of A_t.
            case accumulated
            /// Equation 7: the mean of B_t ⊗ A_t.
            case perTask = "per-task"
        }

        /// The scale of a layer's B in one task.
        public enum Balance: String, Sendable, CaseIterable {
            /// The plain factors.
            case none
            /// tr A tr B = E‖Σ_p g aᵀ‖², the trace of the layer's exact Gauss-Newton matrix.
            case trace
        }

        /// The blocks F of one-dimensional parameters under equation 8.
        public enum OneDimensional: String, Sendable, CaseIterable {
            /// The mean over tasks, as in the paper.
            case mean
            /// The sum over tasks, like B. So they are in the scale of the matrices.
            case sum
        }

        /// The sum over tasks.
        public var accumulation: Accumulation
        /// The scale of B.
        public var balance: Balance
        /// The blocks F; they have no effect on equation 7.
        public var oneDimensional: OneDimensional

        /// Settings; the defaults are the paper's equation 8.
        public init(
            accumulation: Accumulation = .accumulated, balance: Balance = .none, oneDimensional: OneDimensional = .mean
        ) {
            self.accumulation = accumulation
            self.balance = balance
            self.oneDimensional = oneDimensional
        }
    }

    let settings: Settings
    let taskCount: Int
    let penalty: CurvaturePenalty

    private init(settings: Settings, taskCount: Int, penalty: CurvaturePenalty) {
        self.settings = settings
        self.taskCount = taskCount
        self.penalty = penalty
    }

    /// The factors of one task.
    public init(_ rows: TaskRows, settings: Settings) {
        var penalty = rows.rows.factors
        if settings.balance == .trace {
            let layers = penalty.layers.enumerated().map { index, term in
                // Layers are the first blocks, in the same order.
                term.balanced(to: rows.exactTrace(ofBlock: index))
            }
            penalty = CurvaturePenalty(layers: layers, vectors: penalty.vectors)
        }
        self.init(settings: settings, taskCount: 1, penalty: penalty)
    }

    /// The factors of all forms' tasks.
    ///
    /// - Throws: ``LaboratoryError/usage(_:)`` for no form.
    public static func accumulated(_ forms: [Self]) throws(LaboratoryError) -> Self {
        guard let first = forms.first else { throw .noOtherTask }
        let settings = first.settings
        let total = forms.reduce(0) { $0 + $1.taskCount }
        let shares = forms.map { Float($0.taskCount) / Float(total) }
        let penalties = forms.map(\.penalty)
        let penalty =
            switch settings.accumulation {
            case .accumulated:
                CurvaturePenalty(
                    accumulating: penalties, shares: shares, summingVectors: settings.oneDimensional == .sum)
            case .perTask:
                CurvaturePenalty(
                    layers: zip(penalties, shares).flatMap { penalty, share in
                        penalty.layers.map { $0.scaled(by: share) }
                    },
                    vectors: zip(penalties, shares).flatMap { penalty, share in
                        penalty.vectors.map { $0.scaled(by: share) }
                    })
            }
        return Self(settings: settings, taskCount: total, penalty: penalty)
    }

    /// Adds scale · ∇Ω(τ) to a gradient, and returns Ω(τ).
    public func addGradient(
        at vector: [Float], scale: Float, to gradient: inout [Float], scratch: inout PenaltyScratch
    ) -> Double {
        penalty.addGradient(at: vector, scale: scale, to: &gradient, scratch: &scratch)
    }

    /// The elements of the triangles of all factors and blocks.
    public var storedElementCount: Int { penalty.storedElementCount }
}

extension JointRows {
    /// A = Σ_r Σ_p u uᵀ / R, B = Σ_s Σ_p v vᵀ, F = Σ_s v vᵀ: K-FAC's factors under `expand`.
    var factors: CurvaturePenalty {
        var layers: [CurvaturePenalty.LayerTerm] = []
        var vectors: [CurvaturePenalty.VectorTerm] = []
        for (index, block) in layout.blocks.enumerated() {
            switch block.parameters {
            case .layer(let layer):
                let (inputRows, gradientRows) = (inputCount * block.positions, gradientCount * block.positions)
                layers.append(
                    CurvaturePenalty.LayerTerm(
                        layer: layer, weight: 1,
                        input: Self.gram(
                            inputs[index], MatrixBlock(rows: inputRows, columns: block.inputWidth),
                            scale: 1 / Float(block.rowsPerSample)),
                        gradient: Self.gram(
                            gradients[index], MatrixBlock(rows: gradientRows, columns: block.outputWidth))))
            case .vectors(let entries):
                var offset = 0
                for entry in entries {
                    let place = MatrixBlock(
                        rows: gradientCount, columns: entry.count, offset: offset, stride: block.outputWidth)
                    vectors.append(
                        CurvaturePenalty.VectorTerm(
                            entry: entry, weight: 1, block: Self.gram(gradients[index], place)))
                    offset += entry.count
                }
            }
        }
        return CurvaturePenalty(layers: layers, vectors: vectors)
    }

    /// Σ_r (the constant input 1 of one-dimensional parameters in u_r)².
    var constantSquare: Float { (inputs.last ?? []).reduce(0) { $0 + $1 * $1 } }

    private static func gram(_ rows: [Float], _ place: MatrixBlock, scale: Float = 1) -> [Float] {
        var result = [Float](repeating: 0, count: place.columns * place.columns)
        BlockProduct.multiply(
            rows, place, .transposed, rows, place, .none, into: &result,
            MatrixBlock(rows: place.columns, columns: place.columns), scale: scale)
        return result
    }
}

extension CurvaturePenalty {
    /// Equation 8: B = Σ B_t, A = Σ share_t A_t, and F the sum or the weighted mean; all of weight 1.
    init(accumulating penalties: [CurvaturePenalty], shares: [Float], summingVectors: Bool) {
        let ones = [Float](repeating: 1, count: shares.count)
        layers = penalties[0].layers.indices.map { index in
            let terms = penalties.map { $0.layers[index] }
            return LayerTerm(
                layer: terms[0].layer, weight: 1, input: Self.sum(terms.map(\.input), shares),
                gradient: Self.sum(terms.map(\.gradient), ones))
        }
        vectors = penalties[0].vectors.indices.map { index in
            let terms = penalties.map { $0.vectors[index] }
            return VectorTerm(
                entry: terms[0].entry, weight: 1, block: Self.sum(terms.map(\.block), summingVectors ? ones : shares))
        }
    }

    private static func sum(_ matrices: [[Float]], _ weights: [Float]) -> [Float] {
        var sum = [Float](repeating: 0, count: matrices[0].count)
        for (matrix, weight) in zip(matrices, weights) {
            for index in sum.indices { sum[index] += weight * matrix[index] }
        }
        return sum
    }
}

extension CurvaturePenalty.LayerTerm {
    /// The term with another weight.
    func scaled(by factor: Float) -> Self {
        Self(layer: layer, weight: factor * weight, input: input, gradient: gradient)
    }

    /// The term with B scaled so that tr A tr B is `trace`; a term without curvature stays as it is.
    func balanced(to trace: Double) -> Self {
        func sum(_ matrix: [Float], _ side: Int) -> Double {
            (0..<side).reduce(0) { $0 + Double(matrix[$1 * (side + 1)]) }
        }
        let own = sum(input, inputSide) * sum(gradient, layer.outputWidth)
        guard own > 0 else { return self }
        let factor = Float(trace / own)
        return Self(layer: layer, weight: weight, input: input, gradient: gradient.map { factor * $0 })
    }
}

extension CurvaturePenalty.VectorTerm {
    /// The term with another weight.
    func scaled(by factor: Float) -> Self { Self(entry: entry, weight: factor * weight, block: block) }
}
